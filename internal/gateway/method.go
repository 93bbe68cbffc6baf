package gateway

import (
	"context"
	"strings"

	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
)

const (
	managerType = "SessionManager"
	fetch       = "Fetch"
)

// local reports whether the front itself serves a call: it is about its sessions.
func (f *Front) local(ctx context.Context, c *Call, m *message.Message) bool {
	if !isSDK(c.Path) {
		return false
	}
	this := strings.TrimSpace(m.This.Text)
	if method.Manager[m.Method] || m.Type == managerType || this == managerType {
		return true
	}
	content, err := f.Upstream.Content(ctx)
	return err == nil && content.SessionManager != nil && this == content.SessionManager.Value
}

// isSDK reports whether a path is that of the API itself, and not of another service beside it.
func isSDK(path string) bool { return path == "/sdk" || strings.HasPrefix(path, "/sdk/") }

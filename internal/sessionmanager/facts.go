package sessionmanager

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
)

// FactsType and factsID name the managed object that says about sessions what the API's SessionManager does
// not: their limits, and how they logged in. It is an addition to the API, which other servers do not have.
// The names are part of the protocol.
const (
	FactsType = "VigateSessions"
	factsID   = "sessions"
)

// VigateSessionLimits are the limits of sessions that are in force. The names of the type and its members are
// part of the protocol.
type VigateSessionLimits struct {
	// MaxSessions and MaxSessionsPerUser count the sessions of the server and of all its fronts, and so does
	// SessionCount.
	MaxSessions        int32 `xml:"maxSessions" json:"maxSessions"`
	MaxSessionsPerUser int32 `xml:"maxSessionsPerUser" json:"maxSessionsPerUser"`
	SessionCount       int32 `xml:"sessionCount" json:"sessionCount"`
	// IdleSeconds and LifetimeSeconds are the times after which a session ends: without a call, and in any case.
	IdleSeconds     int64 `xml:"idleSeconds" json:"idleSeconds"`
	LifetimeSeconds int64 `xml:"lifetimeSeconds" json:"lifetimeSeconds"`
}

// VigateSessionLogin says how a session logged in.
type VigateSessionLogin struct {
	Key    string `xml:"key" json:"key"` // as in sessionList
	Method string `xml:"method" json:"method"`
}

// facts returns the table of the object.
func (m *manager) facts() *vim.Object {
	return &vim.Object{
		Type: FactsType, ID: factsID,
		Properties: []vim.Property{
			vim.NewProperty("limits", vim.Read, m.limits),
			vim.NewStreamed("logins", access.TerminateSession, m.logins),
		},
	}
}

func (m *manager) limits(context.Context, *vim.Call) (VigateSessionLimits, error) {
	s := m.domain.Settings
	v := s.Values()
	return VigateSessionLimits{
		MaxSessions: count(v.MaxSessions), MaxSessionsPerUser: count(s.PerPrincipal()),
		SessionCount: count(m.domain.Sessions.Size()),
		IdleSeconds:  int64(v.IdleTimeout / time.Second), LifetimeSeconds: int64(v.MaxLifetime / time.Second),
	}, nil
}

func count(n int) int32 { return int32(min(n, math.MaxInt32)) }

// logins yields how the sessions of sessionList logged in.
func (m *manager) logins(ctx context.Context, c *vim.Call) (iter.Seq[VigateSessionLogin], error) {
	return listed(ctx, m, c, func(l *session.Live) VigateSessionLogin {
		return VigateSessionLogin{Key: l.Key().String(), Method: l.Method()}
	})
}

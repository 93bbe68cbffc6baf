package serve

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
)

// Options are the parameters of Open that are not part of the configuration.
type Options struct {
	Logger *slog.Logger     // nil: slog.Default
	Now    func() time.Time // wall clock of sessions, tickets and reports; nil: time.Now
	// Patience is how long a login waits for its password hash before it is refused. If 0, it is 2
	// s, which may be too short for many logins on a slow machine.
	Patience time.Duration
	// Identity is the section of the configuration with the identity sources.
	Identity identity.Config
	// Upstreams is the section of the configuration with the servers behind this one.
	Upstreams []upstream.Config
	// Reread reads that section again, when Hangup gets a value or File has changed. If nil, that is
	// never done.
	Reread func() ([]upstream.Config, error)
	Hangup <-chan os.Signal
	File   string // the configuration file; empty: none
	// FileSeen is the state of File when Upstreams was read from it, so that a later change is noticed. If nil, it is
	// the state in which Open finds the file.
	FileSeen fs.FileInfo
	// PasswordGrid is the period of the answers to failed passwords, see login.GateOptions. If 0, it is
	// 250 ms. If negative, the answers are not delayed.
	PasswordGrid time.Duration
	// OpenStore opens the store. If nil, it is storage.OpenEmbedded. A program that can also use etcd sets
	// shared.Open.
	OpenStore func(context.Context, config.Config, storage.Options) (storage.Opened, error)
	// Cost is the cost of the hash of a new password. If zero, it is account's default.
	Cost account.Cost
	// Policy changes the rules for sessions that the configuration and clients have set. If nil, they
	// are not changed.
	Policy func(session.Policy) session.Policy
	// Around wraps the handlers of all listeners. If nil, they are not wrapped.
	Around func(http.Handler) http.Handler
	// Guest means that the process belongs to another program, which may open many servers. Then the garbage
	// collector is not tuned, and the key of the token service is made only when the first token is issued.
	Guest bool
}

func (o Options) store() func(context.Context, config.Config, storage.Options) (storage.Opened, error) {
	if o.OpenStore == nil {
		return storage.OpenEmbedded
	}
	return o.OpenStore
}

package serve

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/sts"
	"github.com/vigate/vigate/internal/sts/lookup"
	"github.com/vigate/vigate/internal/sts/signing"
)

// newSigning returns the keys of the token service.
func newSigning(o Options, now func() time.Time, logger *slog.Logger) *signing.Keys {
	return signing.New(signing.Options{
		// Other servers of the cluster may still have a shorter life in their configuration.
		Longest: max(o.Identity.Tokens.HolderOfKeyMax, o.Identity.Tokens.BearerMax, sts.DefaultKeyMax),
		Now:     now, Logger: logger,
	})
}

// openTokens creates the token service.
func (n *Node) openTokens(o Options) {
	n.signing.Attach(n.Mirror)
	n.tokens = sts.New(sts.Options{
		Keys: n.signing, Instance: n.Settings.Instance, Accounts: n.Accounts.Table(), Extensions: n.Extensions.Table(),
		Access: n.Access.Table(), Directory: n.Directory, Sync: n.Mirror.Sync,
		BearerMax: o.Identity.Tokens.BearerMax, KeyMax: o.Identity.Tokens.HolderOfKeyMax,
		Skew: o.Identity.Tokens.ClockSkew, Now: n.now, Logger: n.logger,
		Post: func(ctx context.Context, e event.Event, conditions ...store.Change) error {
			_, err := n.Mirror.Commit(ctx, append(conditions, n.Events.Change(e))...)
			return err
		},
	})
}

// mountTokens adds the token service and the Lookup Service, by which clients find it.
func (n *Node) mountTokens(mux *http.ServeMux, bodies *binding.Bodies) {
	n.tokens.Mount(mux, n.gate, bodies)
	lookup.Mount(mux, lookup.Options{
		Instance: n.Settings.Instance, Certificate: func() []byte { return n.certificate.Leaf().Raw },
		Domain: n.Accounts.Domain(), Tokens: sts.Path, API: "/sdk",
	}, bodies)
}

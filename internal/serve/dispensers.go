package serve

import (
	"context"
	"errors"
	"net/http"

	"github.com/vigate/vigate/internal/gateway/dispense"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// openDispensers creates what gives tickets at paths of the front. The error joins all mistakes.
func (n *Node) openDispensers(f *frontServer) error {
	var errs []error
	f.dispensers = map[string]http.Handler{}
	for _, cfg := range f.config.Dispense {
		d := &dispense.Dispenser{
			Front: f.config.Name, Account: cfg.Account, Target: string(cfg.Target), Subjects: cfg.Subjects,
			PerMinute: cfg.PerMinute, Ticket: n.dispensed(f, cfg), Verify: n.sources.Verifier(), Logger: f.logger,
			Now: n.now,
		}
		var wrong []error
		d.Tokens, wrong = DispenserTokens(cfg, d.Verify != nil)
		errs = append(errs, wrong...)
		f.dispensers[cfg.Path] = d
	}
	return errors.Join(errs...)
}

// DispenserTokens opens the file of tokens of a dispenser. The result is nil if none is configured. issuers says
// whether an issuer of JSON Web Tokens is configured. The errors are all mistakes.
func DispenserTokens(cfg upstream.Dispense, issuers bool) (*dispense.Tokens, []error) {
	var errs []error
	if len(cfg.Subjects) > 0 && !issuers {
		errs = append(errs, cfg.Wrong("subjects", "needs an issuer in identity.oidc"))
	}
	if cfg.TokensFile == "" {
		return nil, errs
	}
	tokens, err := dispense.OpenTokens(cfg.TokensFile)
	if err != nil {
		errs = append(errs, cfg.Wrong("tokens-file", "can't be used: %v", err))
	}
	return tokens, errs
}

// dispensed returns the function that makes the tickets of a dispenser.
func (n *Node) dispensed(
	f *frontServer, cfg upstream.Dispense,
) func(context.Context, dispense.Subject) (secret.Text, error) {
	if cfg.Target == settings.TargetFront {
		t := &dispense.FrontTickets{
			Gate: f.front.Gate(), Sessions: f.front.Sessions(), Wanted: cfg.Account, DefaultDomain: n.DefaultDomain(),
			Account: func(l *session.Live) (string, error) {
				a, err := f.front.Choose(l)
				if err != nil {
					return "", err
				}
				return a.Name(), nil
			},
		}
		return t.Ticket
	}
	return func(ctx context.Context, _ dispense.Subject) (secret.Text, error) {
		a, ok := f.upstream.Account(cfg.Account)
		if !ok {
			return secret.Text{}, errNoAccount
		}
		return f.upstream.Pool(a, "").CloneTicket(ctx)
	}
}

var errNoAccount = errors.New("the account is not configured any more")

// Package sts is the server's own Security Token Service: it issues SAML tokens in the form of vCenter's,
// renews and validates them.
//
// [Service] serves WS-Trust 1.3 at /sts/STSService, where clients such as govc and the cloud provider of
// Kubernetes get their tokens. Users prove themselves by password, registered extensions (the solution
// users of vCenter) by certificate, and both by a holder-of-key token. It also serves the exchange of JSON
// Web Tokens for SAML tokens at /api/vcenter/authentication/token. Every proof passes login.Gate, so it is
// throttled and counted like a login.
//
// A token grants nothing by itself. The login method of package samltoken takes it, and asks
// [Service.Confirm] whether its subject may still log in. Package signing keeps the keys. Package lookup
// tells clients where the service is.
package sts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/sts/signing"
)

// Path is where the service is served, also with the name of the domain below it.
const Path = "/sts/STSService"

// TokenPath is where JSON Web Tokens are exchanged for SAML tokens.
const TokenPath = "/api/vcenter/authentication/token"

// The longest lives of tokens if Options doesn't say.
const (
	DefaultBearerMax = 5 * time.Minute
	DefaultKeyMax    = 30 * 24 * time.Hour
	DefaultSkew      = time.Minute
)

// Options are the settings of a Service. All but those with a default are required.
type Options struct {
	Keys *signing.Keys
	// Instance returns the UUID of the instance, which is part of the issuer's name.
	Instance   func() string
	Accounts   *account.Table
	Extensions *extension.Table
	Access     *access.Table
	// Directory has the users of the other domains.
	Directory directory.Directory
	// Sync waits until this node knows all that any node has acknowledged.
	Sync func(context.Context) error
	// BearerMax and KeyMax are the longest lives of bearer and holder-of-key tokens. If they are 0, they
	// are DefaultBearerMax and DefaultKeyMax.
	BearerMax, KeyMax time.Duration
	// Skew is how much the clocks of clients may differ. If it is 0, it is DefaultSkew.
	Skew time.Duration
	// Post writes the event of an issued token in a commit with the conditions. If nil, there are no
	// events.
	Post   func(ctx context.Context, e event.Event, conditions ...store.Change) error
	Now    func() time.Time // if nil, time.Now
	Logger *slog.Logger     // if nil, slog.Default
}

// Service issues tokens. It is safe for concurrent use. Use New to make one, and Mount to serve it.
type Service struct {
	o        Options
	domain   string // of local users, in upper case
	verifier *saml.Verifier
	turns    *budget.Turns // to verify and to sign
	gate     *login.Gate
	bodies   *binding.Bodies
}

// New returns a service. Its Confirm and Issuers can be used before Mount.
func New(o Options) *Service {
	o.BearerMax, o.KeyMax = cmp.Or(o.BearerMax, DefaultBearerMax), cmp.Or(o.KeyMax, DefaultKeyMax)
	o.Skew, o.Logger = cmp.Or(o.Skew, DefaultSkew), cmp.Or(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{o: o, domain: o.Accounts.Domain(), turns: budget.NewTurns(max(1, runtime.GOMAXPROCS(0)/2))}
	s.verifier = &saml.Verifier{
		Issuers: s.Issuers, Skew: o.Skew, BearerMax: o.BearerMax, KeyMax: o.KeyMax, Now: o.Now,
	}
	return s
}

// Mount adds the service to mux. The methods of the gate must include Method. All bindings must share
// bodies.
func (s *Service) Mount(mux *http.ServeMux, gate *login.Gate, bodies *binding.Bodies) {
	s.gate, s.bodies = gate, bodies
	mux.HandleFunc(Path, s.trust)
	mux.HandleFunc(Path+"/{domain}", s.trust)
	mux.HandleFunc(TokenPath, s.exchange)
}

// Issuer returns the name of the issuer in the tokens, or "" before the instance has a UUID.
//
// It has the form of vCenter's. In place of a host it has the UUID of the instance. So it is the same on
// all servers that share a store, after every restart, and by whatever name a client calls the server.
func (s *Service) Issuer() string {
	instance := s.o.Instance()
	if instance == "" {
		return ""
	}
	return "https://" + instance + "/websso/SAML2/Metadata/" + strings.ToLower(s.domain)
}

// Issuers returns the issuer of the service's own tokens if it has the name. Its tokens are for users of
// all domains.
func (s *Service) Issuers(name string) []saml.Issuer {
	if name == "" || name != s.Issuer() {
		return nil
	}
	return []saml.Issuer{{Name: name, Certificates: s.o.Keys.Certificates()}}
}

// Again calls verify, which verifies a token. If no known key has signed the token, another server may have
// made the key an instant ago: then Again catches up with the other servers, and calls verify once more if
// the keys have changed.
func (s *Service) Again(ctx context.Context, verify func() error) error {
	version := s.o.Keys.Version()
	err := verify()
	if !errors.Is(err, saml.ErrSignature) {
		return err
	}
	if err := s.o.Sync(ctx); err != nil {
		return fmt.Errorf("find keys of the token service: %w: %w", login.ErrUnconfirmed, err)
	}
	if s.o.Keys.Version() == version {
		return err
	}
	return verify()
}

// work calls f when it is the client's turn. Signatures cost processor time, which strangers can ask for.
func (s *Service) work(ctx context.Context, p *peer.Peer, f func() error) error {
	if err := s.turns.Acquire(ctx, p.Network(), budget.MaxWaitingEach); err != nil {
		if errors.Is(err, budget.ErrBusy) {
			return failed(requestFailed, textBusy, err)
		}
		return err
	}
	defer s.turns.Release()
	return f()
}

// Turns returns the turns for work with signatures: half of the processors work at a time. Other packages that verify
// tokens should share these turns, so that the bound is for all of them together.
func (s *Service) Turns() *budget.Turns { return s.turns }

// secured reports whether a request came in a way that nobody else can read: passwords and bearer tokens
// are in requests and in responses.
func secured(p *peer.Peer) bool { return p.TLS || p.Local }

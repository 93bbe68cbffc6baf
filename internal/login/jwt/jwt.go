// Package jwt is the login method by signed tokens of OpenID Connect issuers: ID tokens, access tokens that
// are JSON Web Tokens, and service-account tokens of Kubernetes.
//
// [Method] takes the token from the header `Authorization: Bearer`. It accepts the tokens of the issuers
// that are configured, and of no others: see [Issuer] for what is checked. A principal and its groups
// are in the issuer's domain. The package makes no tokens, and it is no OpenID provider.
//
// The keys of an issuer are read from its server and kept in memory. What a stranger sends makes at most
// one request for keys in a minute. While the issuer's server can't be reached, the keys that were read
// last are used for up to six hours.
//
// A token is not spent by a login: clients such as pyVmomi and the workloads of a Kubernetes cluster send
// the same token for many logins. A stolen token can be used until it expires, so issue tokens with a
// short life.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// Issuer is an issuer whose tokens are accepted, and how its tokens are read.
//
// A token is accepted if it is signed by a key of the issuer with one of Algorithms, if iss is URL, if
// Audience is in aud, and if the time is between nbf or iat and exp, give or take Skew. The claims iss,
// aud, exp and iat are required. A token for several audiences must name Audience in azp: each of them
// holds the token, and any of them could send it here. A token that is bound to a key of its owner
// (cnf) is refused, because the proof of that key is not checked.
type Issuer struct {
	// URL is the claim iss, to the letter. Without JWKSURL it is also where the issuer's description is.
	URL string
	// JWKSURL is the https address of the issuer's keys. If it is empty, it is read from the description
	// that OpenID Connect Discovery defines, at URL + "/.well-known/openid-configuration".
	JWKSURL string
	// CA is a PEM file with the authorities of the issuer's server. It is read again for each request.
	// If it is empty, the authorities of the system are trusted.
	CA string
	// Audience is this server's name at the issuer, often called client id.
	Audience string
	// Algorithms are the signature algorithms that are accepted, at least one of those in Algorithms().
	Algorithms []string
	// NameClaim is the claim with the user's name. If it is empty, it is sub.
	//
	// Names compare without case here. So the values of the claim must differ in more than case, and
	// users must not be able to change their own.
	NameClaim string
	// UPN means that each name has the form user@domain, with Domain; the principal is then the user of
	// that domain, and other names are refused. Without UPN, a name with @ is refused. There is no third
	// rule, because ann and ann@domain can be two users of one issuer.
	UPN bool
	// GroupsClaim is the claim with the names of the user's groups: a text, or a list of texts. If it is
	// empty, the users have no groups. Names that no group can have here are left out.
	GroupsClaim string
	// Domain is the domain of the issuer's users and groups.
	Domain string
	// Skew is how much the clocks of issuer and server may differ. If it is 0, it is DefaultSkew.
	Skew time.Duration
	// UntilTokenExpires ends a session when its token expires. Without it, a session lives as long as
	// one of a password.
	UntilTokenExpires bool
}

// DefaultSkew is how much the clocks of an issuer and of this server may differ.
const DefaultSkew = time.Minute

// maxToken is the length of the longest token, in bytes. Tokens with some hundred groups fit.
const maxToken = 16 << 10

// Method is the login method by tokens of the issuers. It is safe for concurrent use. Use New to make one.
type Method struct {
	issuers map[string]*issuer // by URL
	now     func() time.Time
}

// issuer is an Issuer that was checked, and its keys.
type issuer struct {
	Issuer
	domain   string // upper case
	keys     *keySet
	verifier oidc.Config
}

// New returns the method for the issuers. It sends no request: the keys are read when the first token
// comes. It returns an error if the settings of an issuer can't be used. If now is nil, it is time.Now;
// if logger is nil, it is slog.Default().
func New(issuers []Issuer, now func() time.Time, logger *slog.Logger) (*Method, error) {
	if now == nil {
		now = time.Now
	}
	if logger == nil {
		logger = slog.Default()
	}
	m := &Method{issuers: map[string]*issuer{}, now: now}
	for _, i := range issuers {
		if err := i.Check(); err != nil {
			return nil, fmt.Errorf("use issuer %q: %w", i.URL, err)
		}
		if m.issuers[i.URL] != nil {
			return nil, fmt.Errorf("use issuer %q: it is listed twice", i.URL)
		}
		if i.NameClaim == "" {
			i.NameClaim = "sub"
		}
		if i.Skew == 0 {
			i.Skew = DefaultSkew
		}
		source := &source{issuer: i.URL, url: i.JWKSURL, ca: i.CA, now: now, time: fetchTime}
		m.issuers[i.URL] = &issuer{
			Issuer: i, domain: strings.ToUpper(i.Domain),
			keys: &keySet{fetch: source.fetch, now: now, logger: logger.With("issuer", i.URL)},
			verifier: oidc.Config{
				ClientID: i.Audience, SupportedSigningAlgs: i.Algorithms,
				// The library allows no skew for exp, and five minutes for nbf. See times.
				Now: func() time.Time { return now().Add(-i.Skew) },
			},
		}
	}
	return m, nil
}

// Algorithms returns the signature algorithms that an issuer may use. None of them has a secret key
// that a verifier knows, and none has no key.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Check returns why the issuer can't be used, or nil. It reads the file CA, but sends no request.
func (i *Issuer) Check() error {
	switch {
	case i.URL == "":
		return errors.New("it has no address")
	case i.Audience == "":
		return errors.New("it has no audience")
	case i.Domain == "" || strings.ContainsAny(i.Domain, `\@`):
		return errors.New("it has no domain, or one with \\ or @")
	case len(i.Algorithms) == 0:
		return errors.New("it has no algorithms")
	case i.Skew < 0:
		return errors.New("the skew of its clock is negative")
	}
	for _, a := range i.Algorithms {
		if !fits[jose.SignatureAlgorithm(a)].known() {
			return fmt.Errorf("the algorithm %q can't be used; these can: %s", a, strings.Join(Algorithms(), ", "))
		}
	}
	address := i.JWKSURL
	if address == "" {
		address = i.URL
	}
	if err := checkURL(address); err != nil {
		return err
	}
	_, err := authorities(i.CA)
	return err
}

// Name is part of login.Method.
func (*Method) Name() string { return "jwt" }

// Challenge is part of login.Method.
func (*Method) Challenge() string { return "Bearer" }

// Authenticate is part of login.Method. A message with a security header of its own brings another
// token, and that one decides.
func (m *Method) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.Assertion)
	if !ok || !c.Security.IsZero() {
		return session.Grant{}, login.ErrNotMine
	}
	token, ok := bearer(c.Authorization.Reveal())
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	v, err := m.Verify(ctx, secret.New(token))
	if err != nil {
		return session.Grant{}, err
	}
	g := session.Grant{Identity: v.Identity, Scope: session.Scope{Domain: v.Identity.Name.Domain}}
	if v.ends {
		g.NotAfter = v.NotAfter
	}
	return g, nil
}

// bearer returns the token of an Authorization header of the scheme Bearer (RFC 6750 §2.1).
func bearer(header string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(header, " ")
	return strings.Trim(token, " "), ok && strings.EqualFold(scheme, "Bearer")
}

// Verified is what a token proves.
type Verified struct {
	Identity session.Identity
	// Subject is the claim sub, as the issuer wrote it. It is empty if the token has none.
	Subject  string
	NotAfter time.Time // when the token expires

	ends bool // the session ends then as well
}

// Verify checks a token without a login, for a caller that gives its owner something else. It counts
// no failures: login.Gate does.
//
// Errors: login.ErrRejected; login.ErrUnconfirmed with login.ErrBusy if the key of the token is not known and the
// issuer can't be asked for its keys now; those of the context. Any other error means that the issuer's
// keys could not be read: nobody has learned whether the token is good.
func (m *Method) Verify(ctx context.Context, token secret.Text) (Verified, error) {
	t, err := parse(token.Reveal())
	if err != nil {
		return Verified{}, rejected(err)
	}
	claimed, _ := t.claims.text("iss")
	i := m.issuers[claimed]
	if i == nil {
		return Verified{}, rejected(fmt.Errorf("the issuer %.128q is not configured", claimed))
	}
	if err := i.signed(ctx, t); err != nil {
		return Verified{}, err
	}
	v, err := i.identify(t.claims, m.now())
	if err != nil {
		return Verified{}, rejected(err)
	}
	return v, nil
}

// rejected is the error of a token that is not good.
func rejected(cause error) error { return fmt.Errorf("verify token: %w: %w", login.ErrRejected, cause) }

// signed checks that a key of the issuer has signed the token, and that the token's claims are what was
// signed. The claims themselves are checked by the library first, and by identify.
func (i *issuer) signed(ctx context.Context, t *token) error {
	if !slices.Contains(i.Algorithms, string(t.algorithm)) {
		return rejected(fmt.Errorf("the algorithm %.32q is not accepted of this issuer", t.algorithm))
	}
	keys, err := i.keys.find(ctx, t.algorithm, t.key)
	if err != nil {
		return err
	}
	found, err := oidc.NewVerifier(i.URL, &oidc.StaticKeySet{PublicKeys: keys}, &i.verifier).Verify(ctx, t.text)
	if err != nil {
		return rejected(err)
	}
	var signed payload
	if err := found.Claims(&signed); err != nil {
		return rejected(err)
	}
	if string(signed) != string(t.payload) {
		return rejected(errors.New("the claims are not those that were signed"))
	}
	return nil
}

// payload takes the bytes that the library has verified, as they are.
type payload []byte

// UnmarshalJSON keeps a copy of the bytes.
func (p *payload) UnmarshalJSON(b []byte) error {
	*p = append((*p)[:0], b...)
	return nil
}

var _ login.Method = (*Method)(nil)

// maxName is the length of the longest user name in the domain, in bytes.
func maxName(domain string) int { return principal.MaxLength - len(domain) - 1 }

package vectors

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// isFeature reports whether the rest of a step "have" is a feature of NewWorld: one that a server has only
// if its operator configures it.
func isFeature(rest string) bool {
	what, _, _ := strings.Cut(rest, " ")
	return what == "kerberos" || what == "issuer" || what == "local-tickets"
}

// equip sets the trusted authority, and adds the World's features to the parts of its server.
func (w *World) equip(p *vimtest.Parts) {
	w.t.Helper()
	p.Trust = w.trust
	for _, feature := range w.features {
		switch what, value, _ := strings.Cut(feature, " "); what {
		case "kerberos":
			p.Methods = append(p.Methods, kerberos{})
		case "issuer":
			p.Methods = append(p.Methods, issuer{value})
		case "local-tickets":
			w.localTickets(p)
		default:
			w.t.Fatalf("unknown feature %q", feature)
		}
	}
}

// Have establishes a state that calls can't easily reach: "objects USER", "namesake USER" or "shutdown".
// A feature of the server must have been given to NewWorld.
func (w *World) Have(rest string) error {
	what, value, _ := strings.Cut(rest, " ")
	switch what {
	case "namesake":
		return w.namesake(value)
	case "objects":
		return w.objects(value)
	case "shutdown":
		w.Drain()
	default:
		if !slices.Contains(w.features, rest) {
			return fmt.Errorf("unknown feature %q", rest)
		}
	}
	return nil
}

// kerberos replaces a service with a keytab. The token is a user's name, or the first token of a
// login with several steps.
type kerberos struct{}

func (kerberos) Name() string { return "kerberos" }

func (kerberos) Challenge() string { return "" }

func (kerberos) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.SSPI)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	if string(c.Token.Reveal()) == "first leg" {
		return session.Grant{}, &login.Continue{Token: secret.NewBytes([]byte("go on"))}
	}
	return grant(string(c.Token.Reveal()))
}

// issuer replaces a trusted issuer of tokens. Every token is accepted as the user's. The content of
// a token is not checked, because it differs between bindings.
type issuer struct{ user string }

func (issuer) Name() string { return "token" }

func (issuer) Challenge() string { return "SIGN" }

func (i issuer) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	if _, ok := a.Credential.(login.Assertion); !ok {
		return session.Grant{}, login.ErrNotMine
	}
	return grant(i.user)
}

func grant(user string) (session.Grant, error) {
	if _, ok := passwords[user]; !ok {
		return session.Grant{}, login.ErrRejected
	}
	n, err := principal.Parse(user, account.DefaultDomain)
	return session.Grant{
		Identity: session.Identity{Name: n, FullName: "The " + user}, Scope: session.Scope{Local: true},
	}, err
}

// localTickets enables local tickets. The operating system has two accounts, operator and guest;
// both are the account that runs the tests.
func (w *World) localTickets(p *vimtest.Parts) {
	w.t.Helper()
	me, err := user.Current()
	if err != nil {
		w.t.Fatal(err)
	}
	dir, err := os.OpenRoot(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { dir.Close() })
	p.LocalTickets = &local.Tickets{
		Dir: dir, Loopback: true, Access: p.Access.Table(), Sessions: p.Sessions, Mirror: p.Mirror, Events: p.Events,
		Now: p.Now, Logger: p.Logger,
		Account: func(name string) (*user.User, error) {
			if name != "operator" && name != "guest" {
				return nil, user.UnknownUserError(name)
			}
			return &user.User{Username: name, Name: name, Uid: me.Uid, Gid: me.Gid}, nil
		},
	}
	if err := p.LocalTickets.Open(); err != nil {
		w.t.Fatal(err)
	}
	p.Passwords = append(p.Passwords, p.LocalTickets)
}

// namesake registers an extension with a user's name, as older versions allowed.
func (w *World) namesake(user string) error {
	record := fmt.Appendf(nil, `{"v":1,"key":%q,"data":{"_typeName":"Extension","key":%[1]q,"version":"1"},`+
		`"registered":"2025-01-01T00:00:00Z","updated":"2025-01-01T00:00:00Z"}`, user)
	_, err := w.Mirror.Commit(context.Background(), store.Create(store.Extension, "ext:"+user, record, time.Time{}))
	return err
}

// objects gives the user's session as many objects as it may have.
func (w *World) objects(user string) error {
	l, err := w.session(user)
	for range w.MaxInstances() {
		if err == nil {
			_, err = w.NewInstance(l, "ListView", struct{}{}, 0)
		}
	}
	return err
}

// authority is the certificate authority of the clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a := &authority{key: key}
	a.cert, err = issue(template, template, key, key)
	return a, err
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func issue(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Certificate returns the certificate chain of a client. It is always the same for a name. The
// server trusts the authority of all names except "stranger", whose certificate is self-signed.
func (w *World) Certificate(name string) ([]*x509.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.certificates[name]; c != nil {
		return []*x509.Certificate{c}, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(name)
	parent, signer := w.authority.cert, w.authority.key
	if name == "stranger" {
		parent, signer = template, key
	}
	c, err := issue(template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	w.certificates[name] = c
	return []*x509.Certificate{c}, nil
}

// PEM returns the named certificate in PEM form.
func (w *World) PEM(name string) (string, error) {
	c, err := w.Certificate(name)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c[0].Raw})), nil
}

package vectors

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Have sets up features that a server has only if its operator configures them (kerberos, issuer
// USER, local-tickets), and states that calls can't easily reach (objects USER, namesake USER,
// shutdown).
func (w *World) Have(rest string) error {
	what, value, _ := strings.Cut(rest, " ")
	switch what {
	case "kerberos":
		w.features.methods = append(w.features.methods, kerberos{})
	case "issuer":
		w.features.methods = append(w.features.methods, issuer{value})
	case "local-tickets":
		return w.localTickets()
	case "namesake":
		return w.namesake(value)
	case "objects":
		return w.objects(value)
	case "shutdown":
		w.API.Drain()
	default:
		return fmt.Errorf("unknown feature %q", what)
	}
	return nil
}

// features are the ways in that Have sets up. It is a login method, which the gate has from its start,
// and the source of the passwords of operating-system accounts.
type features struct {
	methods []login.Method
	tickets *login.LocalTickets // nil: switched off
}

func (*features) Name() string { return "features" }

func (*features) Challenge() string { return "" }

func (f *features) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	for _, m := range f.methods {
		grant, err := m.Authenticate(ctx, a)
		if !errors.Is(err, login.ErrNotMine) {
			grant.Method = m.Name()
			return grant, err
		}
	}
	return session.Grant{}, login.ErrNotMine
}

func (*features) Domain() string { return principal.SystemDomain }

func (f *features) Verify(ctx context.Context, name principal.Name, a login.Attempt) (session.Grant, error) {
	if f.tickets == nil {
		return session.Grant{}, login.ErrNotMine
	}
	return f.tickets.Verify(ctx, name, a)
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
func (w *World) localTickets() error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	dir, err := os.OpenRoot(w.t.TempDir())
	if err != nil {
		return err
	}
	w.t.Cleanup(func() { dir.Close() })
	t := &login.LocalTickets{
		Dir: dir, Loopback: true, Access: w.API.Access.Table(), Sessions: w.API.Sessions, Mirror: w.mirror,
		Events: w.API.Events, Now: w.clock.Now,
		Logger: w.API.Log,
		Account: func(name string) (*user.User, error) {
			if name != "operator" && name != "guest" {
				return nil, user.UnknownUserError(name)
			}
			return &user.User{Username: name, Name: name, Uid: me.Uid, Gid: me.Gid}, nil
		},
	}
	w.API.LocalTickets = t
	w.features.tickets = t
	return t.Open()
}

// namesake registers an extension with a user's name, as older versions allowed.
func (w *World) namesake(user string) error {
	record := fmt.Appendf(nil, `{"v":1,"key":%q,"data":{"_typeName":"Extension","key":%[1]q,"version":"1"},`+
		`"registered":"2025-01-01T00:00:00Z","updated":"2025-01-01T00:00:00Z"}`, user)
	_, err := w.mirror.Commit(context.Background(), store.Create(store.Extension, "ext:"+user, record, time.Time{}))
	return err
}

// objects gives the user's session as many objects as it may have.
func (w *World) objects(user string) error {
	l, err := w.session(user)
	for range w.API.MaxInstances() {
		if err == nil {
			_, err = w.API.NewInstance(l, "ListView", struct{}{}, 0)
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

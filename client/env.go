package client

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vigate/vigate/internal/clientenv"
)

// NewFromEnv makes a client as the environment variables say that vigate's command line reads as well:
//
//   - VIGATE_URL: the server: https://host[:port] or unix:///path. The scheme https and the path /sdk may be
//     left out, and the URL may hold a user name and a password.
//   - VIGATE_USERNAME and VIGATE_PASSWORD: the user.
//   - VIGATE_CA: PEM files of the authorities to trust, separated as in PATH. VIGATE_THUMBPRINT: the SHA-256 of
//     the server's certificate. VIGATE_INSECURE=true: accept any certificate, and a URL with http to another
//     machine, where others can read passwords and sessions.
//   - VIGATE_CERTIFICATE and VIGATE_PRIVATE_KEY: PEM files of the client's certificate.
//
// If none of the first three is set, the variables of govc are used: GOVC_URL, GOVC_USERNAME, GOVC_PASSWORD,
// GOVC_INSECURE, GOVC_TLS_CA_CERTS, GOVC_CERTIFICATE, GOVC_PRIVATE_KEY. The two sets are not mixed, so that no
// password is sent to a server that it was not meant for.
//
// With a user and a password, the client logs in by itself at the first call that needs a session, and again when
// the session has ended: see [Config].Login. A program that ends should call Logout. Without them the client is
// anonymous. cfg has the remaining settings; its URL, TLS and Transport must not be set, and its Login, if set, is
// used instead. Errors don't repeat a password.
func NewFromEnv(ctx context.Context, cfg Config) (*Client, error) {
	return newFromEnv(ctx, cfg, os.LookupEnv)
}

func newFromEnv(ctx context.Context, cfg Config, lookup clientenv.Lookup) (*Client, error) {
	if cfg.URL != "" || cfg.Transport != nil || !cfg.TLS.isZero() {
		return nil, errors.New("configure client from environment: URL, TLS and Transport must not be set")
	}
	env := clientenv.New(lookup)
	at, err := env.Address()
	if err == nil && at.URL == "" {
		err = errors.New("neither VIGATE_URL nor GOVC_URL is set")
	}
	if err == nil {
		cfg.TLS, err = tlsFromEnv(env, at)
	}
	if err != nil {
		return nil, fmt.Errorf("configure client from environment: %w", err)
	}
	cfg.URL = at.URL
	if t := at.Transport(); t != nil {
		cfg.URL, cfg.Transport = clientenv.SocketURL, t
	}
	user := env.User(at)
	if password, ok := env.Password(at); ok && user != "" && cfg.Login == nil {
		cfg.Login = func(ctx context.Context, c *Client) error {
			_, err := c.Login(ctx, user, password, "")
			return err
		}
	}
	return New(ctx, cfg)
}

// tlsFromEnv returns how the environment says to check the certificate of the server at the address.
func tlsFromEnv(env clientenv.Environment, at clientenv.Address) (TLS, error) {
	trust, err := env.Trust()
	switch {
	case err != nil:
		return TLS{}, err
	case at.Exposed() && !trust.Insecure:
		return TLS{}, errors.New("passwords and sessions would be sent unencrypted: use https, or set " +
			"VIGATE_INSECURE to allow it")
	case !at.HasTLS():
		return TLS{}, nil
	}
	t := TLS{Insecure: trust.Insecure, Thumbprint: trust.Thumbprint}
	if t.CA, err = trust.Authorities(); err != nil {
		return TLS{}, err
	}
	t.Certificate, err = trust.Certificate()
	return t, err
}

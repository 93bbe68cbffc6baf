package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Limits and defaults of a [Config].
const (
	defaultTimeout     = 2 * time.Minute
	defaultMaxResponse = 64 << 20
	defaultReadTries   = 3
	defaultUserAgent   = "vigate-client"
)

// Config says which server a client calls, and how.
type Config struct {
	// URL of the server: https://host[:port], also with the path /sdk. It must
	// not hold credentials: they belong in a login. Plain http is accepted, and
	// sends passwords and tokens in the clear.
	URL string
	// TLS checks the server. Not together with Transport.
	TLS TLS
	// Transport replaces the HTTP transport, with all of its TLS and proxies.
	Transport http.RoundTripper
	// UserAgent is what the session list shows for the sessions of this client.
	UserAgent string
	// Timeout bounds each HTTP exchange, besides the context of the call. Zero
	// is two minutes, negative is none (for WaitForUpdatesEx without a limit).
	Timeout time.Duration
	// Release of the API, such as "8.0.1.0". Empty: agreed on with the server,
	// which takes one exchange in [New].
	Release string
	// MaxResponse bounds the body of an answer, in bytes. Zero is 64 MiB.
	MaxResponse int64
	// ReadTries is how often a read of a property is sent at most. Zero is
	// three, negative is one.
	ReadTries int
	// Login, where set, is called to log in (again) when a call is answered
	// with NotAuthenticated: once for all calls that wait, and never after
	// Logout. It has to end in a login on the client that it is given, with the
	// context that it is given, such as
	//
	//	func(ctx context.Context, c *client.Client) error {
	//		_, err := c.Login(ctx, user, password, "")
	//		return err
	//	}
	//
	// Where the server refuses it (InvalidLogin, NoPermission), it is not called
	// again until a login of the program's own or SetToken.
	Login func(ctx context.Context, c *Client) error
}

var releasePattern = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,4}){1,5}$`)

// New makes a client of a server. Unless [Config].Release is given it asks the
// server for the release of the API to use; it does not log in.
func New(ctx context.Context, cfg Config) (*Client, error) {
	base, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	transport, err := cfg.transport(base)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg, base, transport)
	release := cfg.Release
	if release == "" {
		if release, err = c.negotiate(ctx); err != nil {
			c.Close()
			return nil, err
		}
	} else if !releasePattern.MatchString(release) {
		c.Close()
		return nil, fmt.Errorf("configure client: %q is not a release such as 8.0.1.0", release)
	}
	c.release = release
	c.prefix = "/sdk/vim25/" + release + "/"
	return c, nil
}

// parseURL returns scheme and authority. Errors don't repeat the URL, which may
// hold a password.
func parseURL(raw string) (url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the URL; its cause may quote a part of it.
		return url.URL{}, errors.New("parse URL: not a valid URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return url.URL{}, errors.New("parse URL: want https://host[:port]")
	case u.User != nil:
		return url.URL{}, errors.New("parse URL: credentials do not belong in the URL: give them to a login")
	case u.Hostname() == "":
		return url.URL{}, errors.New("parse URL: no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return url.URL{}, errors.New("parse URL: a query or fragment has no meaning here")
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" && path != "/sdk" {
		return url.URL{}, errors.New("parse URL: the path must be empty or /sdk")
	}
	return url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func (cfg Config) transport(base url.URL) (http.RoundTripper, error) {
	if cfg.Transport != nil {
		if !cfg.TLS.isZero() {
			return nil, errors.New("configure client: TLS and Transport exclude each other")
		}
		return cfg.Transport, nil
	}
	if !cfg.TLS.isZero() && base.Scheme == "http" {
		return nil, errors.New("configure client: TLS is set but the URL is plain http")
	}
	tlsConfig, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		// The default of two would open and close connections under any
		// concurrency over HTTP/1.1.
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
}

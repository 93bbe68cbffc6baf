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

// Config tells [New] which server to call and how.
type Config struct {
	// URL is the server's URL: https://host[:port], optionally with the path /sdk. It must not hold
	// credentials; give them to a login instead. Plain http is accepted, but it sends passwords and
	// tokens unencrypted.
	URL string
	// TLS configures how the server's certificate is checked. It excludes Transport.
	TLS TLS
	// Transport replaces the client's HTTP transport, including its TLS and proxy settings.
	Transport http.RoundTripper
	// UserAgent is shown in the server's session list for the sessions of this client.
	UserAgent string
	// Timeout limits each HTTP request, in addition to the deadline of the call's context. Zero
	// means two minutes. A negative value means no timeout, which WaitForUpdatesEx without a time
	// limit needs.
	Timeout time.Duration
	// Release is the release of the API, such as "8.0.1.0". If it is empty, New asks the server
	// which release to use; this takes one request.
	Release string
	// MaxResponse limits the body of a response, in bytes. Zero means 64 MiB.
	MaxResponse int64
	// ReadTries is the maximum number of times that the read of a property is sent. Zero means
	// three. A negative value means one.
	ReadTries int
	// Login, if set, is called to log in again after a call failed with NotAuthenticated. One login
	// serves all calls that wait for it. Login is never called after Logout. It must log in with
	// the client and the context that it is given, for example:
	//
	//	func(ctx context.Context, c *client.Client) error {
	//		_, err := c.Login(ctx, user, password, "")
	//		return err
	//	}
	//
	// If the server refuses the login (InvalidLogin, NoPermission), Login is not called again until
	// the program logs in itself or calls SetToken.
	Login func(ctx context.Context, c *Client) error
}

var releasePattern = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,4}){1,5}$`)

// New makes a client for a server. If [Config].Release is empty, New asks the server which release
// of the API to use. It does not log in.
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

// parseURL returns the scheme and the authority of the URL. Its errors don't repeat the URL,
// because it may hold a password.
func parseURL(raw string) (url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the URL, and its cause may quote a part of it.
		return url.URL{}, errors.New("parse URL: not a valid URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return url.URL{}, errors.New("parse URL: want https://host[:port]")
	case u.User != nil:
		return url.URL{}, errors.New("parse URL: credentials do not belong in the URL; pass them to a login")
	case u.Hostname() == "":
		return url.URL{}, errors.New("parse URL: no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return url.URL{}, errors.New("parse URL: a query or fragment is not allowed")
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
		// The default of 2 would open and close connections whenever several HTTP/1.1 calls run at
		// once.
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
}

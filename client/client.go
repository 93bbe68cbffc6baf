package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// Errors of the client itself. They are compared with errors.Is.
var (
	// ErrNoValue means that the server's response has no value although the API promises one.
	ErrNoValue = errors.New("the response has no value")
	// ErrNoVIJSON means that the server does not serve the VI JSON API, or not the release of it that the client
	// uses. vCenter has it from 8.0 U1 on; ESXi hosts have none.
	ErrNoVIJSON = errors.New("the server has no VI JSON API of this release")
	// ErrClosed means that the client was closed before the call.
	ErrClosed = errors.New("the client is closed")
	// ErrLoggedIn means that the server refused a login because the client has a live session already. Log
	// out first, or log in with another client. The error also holds the server's fault.
	ErrLoggedIn = errors.New("the client is logged in already")
	// ErrLoggedOut is the reason that KeepAlive reports after a Logout.
	ErrLoggedOut = errors.New("logged out")
)

// Client calls one server and has at most one session at a time. It is safe for concurrent use. Use
// [New] to make one.
type Client struct {
	base        url.URL // scheme and authority
	prefix      string  // URL path including the release, up to the managed object's type
	release     string
	headerJSON  []string // value of the Content-Type header: application/json; shared, never changed
	headerAgent []string // value of the User-Agent header; shared, never changed
	maxResponse int64
	timeout     time.Duration // of one HTTP request; 0 means no timeout
	tries       int
	login       func(context.Context, *Client) error
	http        *http.Client
	// jitter returns a random duration between zero and its argument. It spreads the retries of
	// clients that failed at the same time.
	jitter func(time.Duration) time.Duration

	content atomic.Pointer[types.ServiceContent]
	session session
	// life is cancelled by Close. The client's own goroutines end with it.
	life context.Context
	end  context.CancelCauseFunc
}

// Transport returns the client's HTTP transport, which checks the server's certificate as [Config] says.
// It is for requests to other services of the same server, such as its Security Token Service. Close
// closes its idle connections.
func (c *Client) Transport() http.RoundTripper { return c.http.Transport }

func newClient(cfg Config, base url.URL, transport http.RoundTripper) *Client {
	c := &Client{
		base:        base,
		headerJSON:  []string{"application/json"},
		headerAgent: []string{cmp.Or(cfg.UserAgent, defaultUserAgent)},
		maxResponse: cfg.MaxResponse,
		timeout:     max(0, cfg.Timeout),
		tries:       max(1, cfg.ReadTries),
		login:       cfg.Login,
		jitter:      func(d time.Duration) time.Duration { return rand.N(d + 1) },
	}
	if c.maxResponse <= 0 {
		c.maxResponse = defaultMaxResponse
	}
	if cfg.Timeout == 0 {
		c.timeout = defaultTimeout
	}
	if cfg.ReadTries == 0 {
		c.tries = defaultReadTries
	}
	c.http = &http.Client{
		Transport: transport,
		// Redirects are not followed: the session's token is in a header, and a redirect would send
		// that header to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	return c
}

// URL returns the server's URL without a path, such as https://vc.example.com.
func (c *Client) URL() string { return c.base.String() }

// Release returns the release of the API that the client uses, such as "8.0.1.0".
func (c *Client) Release() string { return c.release }

// Close stops the keep-alive and closes idle connections. Later calls fail with [ErrClosed].
//
// Close does not log out: the session stays alive on the server, and another client can use it
// through its token.
func (c *Client) Close() {
	c.session.close()
	c.end(ErrClosed)
	c.http.CloseIdleConnections()
}

// Invoke calls a method of a managed object.
//
// req is a pointer to a request type of vim25/types or to a struct of the same form, or nil if the
// method has no parameters. A member This of req is ignored; ref names the object. res is a pointer
// to a variable for the result, or nil if the method has no result. If the response has no value,
// *res is not changed.
//
// Invoke sends the method once, and a second time only if [Config].Login renewed the session in
// between.
func (c *Client) Invoke(ctx context.Context, ref types.ManagedObjectReference, method string, req, res any) error {
	return c.invoke(ctx, ref, method, req, res, call{})
}

// Property reads a property of a managed object and stores it in the variable that res points to.
// If the property is unset, *res is not changed. Property may repeat the read after a failure, see
// [Config].ReadTries.
func (c *Client) Property(ctx context.Context, ref types.ManagedObjectReference, name string, res any) error {
	if res == nil {
		return fmt.Errorf("call %s.%s: the result must not be nil", ref.Type, name)
	}
	target, err := c.target(ref, name)
	if err != nil {
		return err
	}
	return c.do(ctx, request{operation: ref.Type + "." + name, method: http.MethodGet, url: target, read: true}, res)
}

// ServiceContent returns the list of the server's managers. The client reads the list once and
// keeps it, so the caller must not change its members.
func (c *Client) ServiceContent(ctx context.Context) (types.ServiceContent, error) {
	content, err := c.serviceContent(ctx)
	if err != nil {
		return types.ServiceContent{}, err
	}
	return *content, nil
}

func (c *Client) serviceContent(ctx context.Context) (*types.ServiceContent, error) {
	if content := c.content.Load(); content != nil {
		return content, nil
	}
	var content *types.ServiceContent
	if err := c.Property(ctx, serviceInstance(), "content", &content); lacksVIJSON(err) {
		return nil, fmt.Errorf("%w: %w", ErrNoVIJSON, err)
	} else if err != nil {
		return nil, err
	}
	if content == nil {
		return nil, callError("ServiceInstance.content", ErrNoValue)
	}
	c.content.Store(content)
	return content, nil
}

func serviceInstance() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}
}

// call holds the options of one method call.
type call struct {
	sign    Signer
	secrets []string
	token   *Token // used instead of the session's token; the response does not change the session
}

func (c *Client) invoke(
	ctx context.Context, ref types.ManagedObjectReference, method string, req, res any, opt call,
) error {
	target, err := c.target(ref, method)
	if err != nil {
		return err
	}
	body, err := encode(req)
	if err != nil {
		return fmt.Errorf("call %s.%s: %w", ref.Type, method, err)
	}
	q := request{
		operation: ref.Type + "." + method,
		method:    http.MethodPost,
		url:       target,
		body:      body,
		login:     isLogin(ref, method),
		sign:      opt.sign,
		secrets:   opt.secrets,
	}
	if opt.token != nil {
		_, err := c.send(ctx, q, *opt.token)
		return err
	}
	before := c.Token()
	err = c.do(ctx, q, res)
	if err != nil && q.login && !before.IsZero() {
		return c.explainLogin(ctx, err)
	}
	return err
}

// explainLogin adds ErrLoggedIn to the error of a login with the token of a live session. The fault for that is
// the same as for a wrong password, so explainLogin asks whether the session is alive.
func (c *Client) explainLogin(ctx context.Context, err error) error {
	var refused *types.InvalidLogin
	if !As(err, &refused) {
		return err
	}
	// The question must not make a new session, so it is marked like a call of the login function.
	session, ask := c.CurrentSession(context.WithValue(ctx, renewalKey{}, &renewal{}))
	if ask != nil || session == nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLoggedIn, err)
}

// isLogin reports whether a successful call of the method makes a session.
func isLogin(ref types.ManagedObjectReference, method string) bool {
	return ref.Type == "SessionManager" && (strings.HasPrefix(method, "Login") || method == "CloneSession")
}

// target returns the URL of a method or property.
func (c *Client) target(ref types.ManagedObjectReference, name string) (url.URL, error) {
	if !isTypeName(ref.Type) || !isTypeName(name) {
		return url.URL{}, fmt.Errorf("call %.40q: not the name of a managed object type and a member",
			ref.Type+"."+name)
	}
	if ref.Value == "" || ref.Value == "." || ref.Value == ".." {
		return url.URL{}, fmt.Errorf("call %s.%s: %.40q is not the id of a managed object", ref.Type, name, ref.Value)
	}
	u := c.base
	u.Path = c.prefix + ref.Type + "/" + ref.Value + "/" + name
	if id := url.PathEscape(ref.Value); id != ref.Value {
		u.RawPath = c.prefix + ref.Type + "/" + id + "/" + name
	}
	return u, nil
}

// do sends the request with the session's token and decodes the response. If the response is
// NotAuthenticated and the client can log in again, do renews the session and repeats the request
// once.
func (c *Client) do(ctx context.Context, q request, res any) error {
	for renewed := false; ; renewed = true {
		token, generation, err := c.session.current()
		if err != nil {
			return fmt.Errorf("call %s: %w", q.operation, err)
		}
		a, err := c.send(ctx, q, token)
		if err == nil {
			return c.accept(ctx, q, a, res)
		}
		if renewed || q.login || c.login == nil || renewing(ctx) != nil || !isNotAuthenticated(err) {
			return err
		}
		if renewal := c.renew(ctx, generation); errors.Is(renewal, errNoRenewal) {
			return err
		} else if renewal != nil {
			return fmt.Errorf("%w; log in again: %w", err, renewal)
		}
	}
}

// accept stores the session token of the response, if it has one, and decodes its value into res.
func (c *Client) accept(ctx context.Context, q request, a response, res any) error {
	if !a.token.IsZero() {
		if err := c.session.login(a.token, renewing(ctx)); err != nil {
			return fmt.Errorf("call %s: %w", q.operation, err)
		}
	}
	if a.body == nil || res == nil {
		return nil
	}
	if err := decode(a.body, res); err != nil {
		return fmt.Errorf("call %s: %w", q.operation, err)
	}
	return nil
}

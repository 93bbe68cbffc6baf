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

// Errors of the client itself.
var (
	// ErrNoValue is the cause where the server's answer has no value and the
	// API promises one.
	ErrNoValue = errors.New("the answer holds no value")
	// ErrClosed is the cause of calls after Close.
	ErrClosed = errors.New("the client is closed")
	// ErrLoggedOut is the reason why a keep-alive ended that Logout ended.
	ErrLoggedOut = errors.New("logged out")
)

// Client is a client of one server, with at most one session. It is safe for
// concurrent use. Make one with [New].
type Client struct {
	base        url.URL // scheme and authority
	prefix      string  // path with the release, up to the managed object's type
	release     string
	headerJSON  []string // application/json, as a header's value; shared, never changed
	headerAgent []string // the user agent, likewise
	maxResponse int64
	timeout     time.Duration // of one exchange; 0: none
	tries       int
	login       func(context.Context, *Client) error
	http        *http.Client
	// jitter returns a random part of a pause, so that clients that failed
	// together don't come back together.
	jitter func(time.Duration) time.Duration

	content atomic.Pointer[types.ServiceContent]
	session session
	// life ends with Close, and with it the client's own goroutines.
	life context.Context
	end  context.CancelCauseFunc
}

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
		// A redirect would carry the token, which is in a header of its own, to
		// wherever the answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	return c
}

// Release returns the release of the API in use, such as "8.0.1.0".
func (c *Client) Release() string { return c.release }

// Close ends the client: its keep-alive stops, idle connections are closed, and
// later calls fail with [ErrClosed]. It does not log out: the session lives on,
// and another client can take it over by its token.
func (c *Client) Close() {
	c.session.close()
	c.end(ErrClosed)
	c.http.CloseIdleConnections()
}

// Invoke calls a method of a managed object. req points to a request type of
// vim25/types, or a struct like it (its This is not looked at: ref is what
// counts), or is nil for a method without parameters. res points to where the
// result goes, or is nil for a method without one. Where the server answers
// without a value, *res is left as it is.
//
// A method is sent once, besides the repetition after a renewed login.
func (c *Client) Invoke(ctx context.Context, ref types.ManagedObjectReference, method string, req, res any) error {
	return c.invoke(ctx, ref, method, req, res, call{})
}

// Property reads a property of a managed object into what res points to. Where
// it is unset, *res is left as it is. The read may be repeated, see [Config].
func (c *Client) Property(ctx context.Context, ref types.ManagedObjectReference, name string, res any) error {
	if res == nil {
		return fmt.Errorf("call %s.%s: a property needs a place to go", ref.Type, name)
	}
	target, err := c.target(ref, name)
	if err != nil {
		return err
	}
	return c.do(ctx, exchange{operation: ref.Type + "." + name, method: http.MethodGet, url: target, read: true}, res)
}

// ServiceContent returns the server's list of its managers, read once. It is
// shared: its members must not be changed.
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
	if err := c.Property(ctx, serviceInstance(), "content", &content); err != nil {
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

// call is what is special about one call of a method.
type call struct {
	sign    Signer
	secrets []string
	token   *Token // used instead of the session's; the call stands on its own
}

func (c *Client) invoke(ctx context.Context, ref types.ManagedObjectReference, method string, req, res any, opt call) error {
	target, err := c.target(ref, method)
	if err != nil {
		return err
	}
	body, err := encode(req)
	if err != nil {
		return fmt.Errorf("call %s.%s: %w", ref.Type, method, err)
	}
	q := exchange{
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
	return c.do(ctx, q, res)
}

// isLogin reports whether a method makes a session.
func isLogin(ref types.ManagedObjectReference, method string) bool {
	return ref.Type == "SessionManager" && (strings.HasPrefix(method, "Login") || method == "CloneSession")
}

// target returns the URL of a method or property.
func (c *Client) target(ref types.ManagedObjectReference, name string) (url.URL, error) {
	if !isTypeName(ref.Type) || !isTypeName(name) {
		return url.URL{}, fmt.Errorf("call %.40q: not the names of a managed object's type and member", ref.Type+"."+name)
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

// do sends with the session's token, renews the session once where that is
// asked for, and decodes the answer.
func (c *Client) do(ctx context.Context, q exchange, res any) error {
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

// accept takes the token and the value out of an answer.
func (c *Client) accept(ctx context.Context, q exchange, a answer, res any) error {
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

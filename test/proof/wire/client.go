// Package wire makes calls to a vigate over VI JSON and over SOAP, for tests. A [Client] tries each
// call exactly once. The history has to say what happened to a call without an answer, so no call
// is repeated without its knowledge.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Binding is the protocol of a call.
type Binding uint8

// The bindings.
const (
	JSON Binding = iota
	SOAP
)

// Outcome is what a caller knows about a call.
type Outcome uint8

// The outcomes.
const (
	Done     Outcome = iota + 1
	Refused          // the fault for a session that is over or a ticket that is spent
	Full             // a limit on sessions was reached; nothing lasting was done
	NotSent          // no server answered; nothing was done
	Busy             // 503: the server can't do it now; nothing was done
	Unsure           // 503: the server could not find out whether it was done
	NoAnswer         // the call was sent, and may or may not have been done
	Strange          // an answer that should not exist
)

// Session is a session as a client knows it.
type Session struct {
	Key, User string
	Token     string // secret
}

// Answer is the result of a call.
type Answer struct {
	Outcome Outcome
	Session Session       // for Login, Clone and Current: the session that the server names
	Text    string        // a ticket
	Detail  string        // for Strange, Busy and Unsure
	Retry   time.Duration // for a 503: the delay that the server asks for
	PerUser bool          // for Full: the limit is one user's
}

// Client makes calls. Use New to make one. It is safe for concurrent use.
type Client struct{ http *http.Client }

// New returns a client that uses the same connections for all users. timeout bounds each call.
func New(timeout time.Duration) *Client {
	t := &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 0, DisableCompression: true}
	return &Client{&http.Client{Transport: t, Timeout: timeout}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

const (
	root    = "/sdk/vim25/9.1.0.0/"
	manager = "SessionManager/SessionManager/"
	header  = "vmware-api-session-id"
)

// reply is an HTTP answer, or the reason why there is none.
type reply struct {
	status int
	header http.Header
	body   []byte
	sent   bool // if err is set: the call may have arrived
	err    error
}

func (c *Client) do(ctx context.Context, method, url string, head map[string]string, body string) reply {
	// net/http does not repeat a request whose body it can't read again.
	var r io.Reader
	if body != "" {
		r = io.NopCloser(strings.NewReader(body))
	}
	q, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return reply{err: err}
	}
	q.ContentLength = int64(len(body))
	for k, v := range head {
		q.Header.Set(k, v)
	}
	resp, err := c.http.Do(q)
	if err != nil {
		var op *net.OpError
		return reply{err: err, sent: !errors.As(err, &op) || op.Op != "dial"}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return reply{err: err, sent: true}
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: b}
}

// Call makes a call over VI JSON. The body "GET" reads a property.
func (c *Client) Call(ctx context.Context, addr, token, path, body string) (int, []byte, error) {
	r := c.json(ctx, addr, token, path, body)
	return r.status, r.body, r.err
}

func (c *Client) json(ctx context.Context, addr, token, path, body string) reply {
	method, head := http.MethodPost, map[string]string{}
	if body == "GET" {
		method, body = http.MethodGet, ""
	}
	if body != "" {
		head["Content-Type"] = "application/json"
	}
	if token != "" {
		head[header] = token
	}
	return c.do(ctx, method, "http://"+addr+root+path, head, body)
}

// These texts distinguish the reasons for a 503.
var (
	full   = regexp.MustCompile(`limit of sessions`)
	ofUser = regexp.MustCompile(`The user has reached the limit of sessions`)
	unsure = regexp.MustCompile(`could not be found out`)
)

// judge returns the outcome of a call that was not successful.
func (r reply) judge() Answer {
	switch {
	case r.err != nil && !r.sent:
		return Answer{Outcome: NotSent}
	case r.err != nil:
		return Answer{Outcome: NoAnswer, Detail: r.err.Error()}
	case r.status == http.StatusServiceUnavailable:
		a := Answer{Outcome: Busy, Detail: string(r.body[:min(len(r.body), 300)])}
		if s, err := time.ParseDuration(r.header.Get("Retry-After") + "s"); err == nil {
			a.Retry = s
		}
		switch {
		case full.Match(r.body):
			a.Outcome, a.PerUser = Full, ofUser.Match(r.body)
		case unsure.Match(r.body):
			a.Outcome = Unsure
		}
		return a
	}
	for _, fault := range []string{"NotAuthenticated", "InvalidLogin", "NotFound"} {
		if r.status == http.StatusInternalServerError && bytes.Contains(r.body, []byte(`"`+fault+`"`)) {
			return Answer{Outcome: Refused}
		}
	}
	return Answer{Outcome: Strange, Detail: fmt.Sprintf("status %d: %.300s", r.status, r.body)}
}

// user is a UserSession.
type user struct{ Key, UserName string }

func (r reply) session() Answer {
	if r.status != http.StatusOK {
		return r.judge()
	}
	var u user
	if err := json.Unmarshal(r.body, &u); err != nil {
		return Answer{Outcome: Strange, Detail: err.Error()}
	}
	return Answer{Outcome: Done, Session: Session{Key: u.Key, User: u.UserName, Token: r.header.Get(header)}}
}

// Login begins a session.
func (c *Client) Login(ctx context.Context, b Binding, addr, name, password string) Answer {
	if b == SOAP {
		return c.soapLogin(ctx, addr, name, password)
	}
	return c.json(ctx, addr, "", manager+"Login", object("userName", name, "password", password)).session()
}

// Clone begins a session by a ticket.
func (c *Client) Clone(ctx context.Context, addr, ticket string) Answer {
	return c.json(ctx, addr, "", manager+"CloneSession", object("cloneTicket", ticket)).session()
}

// Ticket gets a ticket for a clone of the session.
func (c *Client) Ticket(ctx context.Context, addr, token string) Answer {
	return c.json(ctx, addr, token, manager+"AcquireCloneTicket", "").text()
}

// text reads an answer that is a string.
func (r reply) text() Answer {
	if r.status != http.StatusOK {
		return r.judge()
	}
	a := Answer{Outcome: Done}
	if err := json.Unmarshal(r.body, &a.Text); err != nil {
		return Answer{Outcome: Strange, Detail: err.Error()}
	}
	return a
}

// Current asks which session the token belongs to. Refused means none.
func (c *Client) Current(ctx context.Context, b Binding, addr, token string) Answer {
	if b == SOAP {
		return c.soapCurrent(ctx, addr, token)
	}
	r := c.json(ctx, addr, token, manager+"currentSession", "GET")
	if r.status == http.StatusNoContent {
		return Answer{Outcome: Refused}
	}
	return r.session()
}

// Logout ends the token's session.
func (c *Client) Logout(ctx context.Context, b Binding, addr, token string) Answer {
	if b == SOAP {
		return c.soapLogout(ctx, addr, token)
	}
	return c.json(ctx, addr, token, manager+"Logout", "").void()
}

// Terminate ends the session with the key. The token's user must have that privilege.
func (c *Client) Terminate(ctx context.Context, addr, token, key string) Answer {
	body, _ := json.Marshal(map[string][]string{"sessionId": {key}})
	return c.json(ctx, addr, token, manager+"TerminateSession", string(body)).void()
}

func (r reply) void() Answer {
	if r.status == http.StatusNoContent {
		return Answer{Outcome: Done}
	}
	return r.judge()
}

// SetMessage changes the service message, which all nodes show.
func (c *Client) SetMessage(ctx context.Context, addr, token, text string) Answer {
	return c.json(ctx, addr, token, manager+"UpdateServiceMessage", object("message", text)).void()
}

// Message reads the service message.
func (c *Client) Message(ctx context.Context, addr, token string) Answer {
	return c.json(ctx, addr, token, manager+"message", "GET").text()
}

// List returns the live sessions that the token's user may see.
func (c *Client) List(ctx context.Context, addr, token string) ([]Session, error) {
	r := c.json(ctx, addr, token, manager+"sessionList", "GET")
	if r.err != nil || r.status != http.StatusOK {
		return nil, fmt.Errorf("list sessions: status %d: %w: %.200s", r.status, r.err, r.body)
	}
	var users []user
	if err := json.Unmarshal(r.body, &users); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	all := make([]Session, len(users))
	for i, u := range users {
		all[i] = Session{Key: u.Key, User: u.UserName}
	}
	return all, nil
}

// object returns a JSON object of strings. The arguments are names and values in turn.
func object(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // encoding strings can't fail
	}
	return string(b)
}

// CreateUser creates a user that may see everything. token is the administrator's. The call may be
// repeated.
func (c *Client) CreateUser(ctx context.Context, addr, token, name, password string) Answer {
	spec := object("_typeName", "HostAccountSpec", "id", name, "password", password, "description", "a user")
	r := c.json(ctx, addr, token, "HostLocalAccountManager/ha-localacctmgr/CreateUser", `{"user":`+spec+`}`)
	if r.status != http.StatusNoContent && !bytes.Contains(r.body, []byte(`"AlreadyExists"`)) {
		return r.judge()
	}
	permission := `{"_typeName":"Permission","principal":"` + name + `","group":false,"roleId":-2,"propagate":true}`
	return c.json(ctx, addr, token, "AuthorizationManager/AuthorizationManager/SetEntityPermissions",
		`{"entity":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"},`+
			`"permission":[`+permission+`]}`).void()
}

// Package wire speaks to a vigate over VI JSON and over SOAP, one attempt a
// call: what became of a call without an answer is for the history to tell, so
// nothing is tried again behind its back.
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

// Binding is how a call travels.
type Binding uint8

// The bindings.
const (
	JSON Binding = iota
	SOAP
)

// Outcome is what a caller knows of a call.
type Outcome uint8

// The outcomes.
const (
	Done     Outcome = iota + 1
	Refused          // the fault of a session that is over or a ticket that is spent
	Full             // a limit on sessions was reached; nothing was done that lasts
	NotSent          // nobody was there; nothing was done
	Busy             // 503: the server can't say or do it now; nothing was done
	Unsure           // 503: the server could not find out whether it was done
	NoAnswer         // the call was sent, and may or may not have been done
	Strange          // an answer that there should not be
)

// Session is one as a client holds it.
type Session struct {
	Key, User string
	Token     string // secret
}

// Answer is what came of a call.
type Answer struct {
	Outcome Outcome
	Session Session       // of Login, Clone, and of Current as the server tells it
	Text    string        // a ticket
	Detail  string        // of Strange, Busy and Unsure
	Retry   time.Duration // of a 503, what the server asks for
	PerUser bool          // of Full: it is the limit of one user that was reached
}

// Client makes calls. The zero value is not ready, use New.
type Client struct{ http *http.Client }

// New makes a client that shares its connections among all principals. timeout
// bounds each call.
func New(timeout time.Duration) *Client {
	t := &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 0, DisableCompression: true}
	return &Client{&http.Client{Transport: t, Timeout: timeout}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

const (
	root    = "/sdk/vim25/9.1.0.0/"
	manager = "SessionManager/SessionManager/"
	header  = "vmware-api-session-id"
)

// reply is an HTTP answer, or why there is none.
type reply struct {
	status int
	header http.Header
	body   []byte
	sent   bool // if err: the call may have arrived
	err    error
}

func (c *Client) do(ctx context.Context, method, url string, head map[string]string, body string) reply {
	// A request without a body to read again is not sent twice by net/http.
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

// Call makes a call of VI JSON; a body of "GET" reads a property.
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

// By their texts the reasons for a 503 are told from each other.
var (
	full   = regexp.MustCompile(`limit of sessions`)
	ofUser = regexp.MustCompile(`The user has reached the limit of sessions`)
	unsure = regexp.MustCompile(`could not be found out`)
)

// judge sorts what is not success.
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

// Current asks whose session the token is. Refused: of none.
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

// Terminate ends the session with the key, by the authority of the token.
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

// List is the sessions that live, as the token may see them.
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

// object is a JSON object of texts, given as name and value in turn.
func object(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // no text fails
	}
	return string(b)
}

// CreateUser makes a user that may look at everything, by the administrator's
// token. It may be tried again.
func (c *Client) CreateUser(ctx context.Context, addr, token, name, password string) Answer {
	spec := object("_typeName", "HostAccountSpec", "id", name, "password", password, "description", "a user")
	r := c.json(ctx, addr, token, "HostLocalAccountManager/ha-localacctmgr/CreateUser", `{"user":`+spec+`}`)
	if r.status != http.StatusNoContent && !bytes.Contains(r.body, []byte(`"AlreadyExists"`)) {
		return r.judge()
	}
	return c.json(ctx, addr, token, "AuthorizationManager/AuthorizationManager/SetEntityPermissions",
		`{"entity":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"},`+
			`"permission":[{"_typeName":"Permission","principal":"`+name+`","group":false,"roleId":-2,"propagate":true}]}`).void()
}

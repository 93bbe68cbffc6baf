//go:build linux

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// binding builds the requests of one binding and reads its responses.
type binding struct {
	name    string
	login   func(user, password string) []byte
	clone   func(ticket string) []byte
	acquire func(token string) []byte
	read    func(token string) []byte
	logout  func(token string) []byte
	ticket  func([]byte) (string, error)
	token   func(load.Answer) []byte
	key     *regexp.Regexp // finds the session's key in a response
}

var bindings = [2]binding{
	{
		name: "VI JSON",
		login: func(user, password string) []byte {
			return wire.Post(wire.SessionManager+"Login", "",
				fmt.Sprintf(`{"userName":%q,"password":%q}`, user, password))
		},
		clone: func(ticket string) []byte {
			return wire.Post(wire.SessionManager+"CloneSession", "", fmt.Sprintf(`{"cloneTicket":%q}`, ticket))
		},
		acquire: func(token string) []byte { return wire.Post(wire.SessionManager+"AcquireCloneTicket", token, "") },
		read:    func(token string) []byte { return wire.Get(wire.SessionManager+"currentSession", token) },
		logout:  func(token string) []byte { return wire.Post(wire.SessionManager+"Logout", token, "") },
		ticket:  wire.JSONTicket,
		token:   func(a load.Answer) []byte { return a.Token },
		key:     regexp.MustCompile(`"key":"([0-9a-f-]+)"`),
	},
	{
		name: "SOAP",
		login: func(user, password string) []byte { // neither contains characters that need escapes in XML
			return wire.SOAPMethod("", "Login", "<userName>"+user+"</userName><password>"+password+"</password>")
		},
		clone: func(ticket string) []byte {
			return wire.SOAPMethod("", "CloneSession", "<cloneTicket>"+ticket+"</cloneTicket>")
		},
		acquire: func(token string) []byte { return wire.SOAPMethod(token, "AcquireCloneTicket", "") },
		read:    func(token string) []byte { return wire.SOAPProperty(token, "currentSession") },
		logout:  func(token string) []byte { return wire.SOAPMethod(token, "Logout", "") },
		ticket:  wire.SOAPTicket,
		token:   func(a load.Answer) []byte { return a.Cookie },
		key:     regexp.MustCompile(`<key>([0-9a-f-]+)</key>`),
	},
}

// held is a session as its client knows it.
type held struct {
	key, token string
	at         time.Time // time of the last call
}

// client makes calls, one at a time, over its own connection, which it renews from time to time.
type client struct {
	s    *soak
	conn *load.Conn
	left int // calls until the connection is renewed
}

func (s *soak) client() *client { return &client{s: s} }

const (
	callsOfAConnection = 2000
	callTimeout        = 5 * time.Minute
)

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close() // the connection is not used any more
		c.conn = nil
	}
}

// do makes a call. A call without a response always counts as an error. The call continues after
// the end of the load, so that every call that has begun is checked.
func (c *client) do(ctx context.Context, kind string, request []byte) (load.Answer, bool) {
	a, err := c.call(ctx, request, callTimeout)
	if err != nil {
		c.s.tally.failed(kind + ": no response: " + reason(err))
		c.pause(ctx, 100*time.Millisecond)
		return a, false
	}
	return a, true
}

func (c *client) call(ctx context.Context, request []byte, timeout time.Duration) (load.Answer, error) {
	if c.left--; c.left <= 0 {
		c.close()
	}
	if c.conn == nil {
		conn, err := load.Dial(context.WithoutCancel(ctx), c.s.Target)
		if err != nil {
			return load.Answer{}, err
		}
		conn.Keep = true
		c.conn, c.left = conn, callsOfAConnection
	}
	err := c.conn.Deadline(time.Now().Add(timeout))
	var a load.Answer
	if err == nil {
		a, err = c.conn.Do(request)
	}
	if err != nil {
		c.close()
	}
	return a, err
}

// reason returns the reason why a call had no response, without addresses.
func reason(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.EOF):
		return "connection closed"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// faultName finds the type of a fault in a response of either binding.
var faultName = regexp.MustCompile(`(?:^\{"_typeName":|xsi:type=)"([A-Za-z]+)"`)

// describe returns the status of a response and the type of its fault, and nothing else of its
// content.
func describe(a load.Answer) string {
	if m := faultName.FindSubmatch(a.Body); m != nil && a.Status != http.StatusOK {
		return fmt.Sprintf("status %d %s", a.Status, m[1])
	}
	return fmt.Sprintf("status %d", a.Status)
}

// wants makes a call that must succeed. If text is not empty, the response must contain it.
func (c *client) wants(ctx context.Context, kind string, request []byte, text string) (load.Answer, bool) {
	a, ok := c.do(ctx, kind, request)
	switch {
	case !ok:
		return a, false
	case a.Status != http.StatusOK && (a.Status != http.StatusNoContent || text != ""):
		c.s.tally.failed(kind + ": " + describe(a))
		c.pause(ctx, 100*time.Millisecond)
		return a, false
	case !bytes.Contains(a.Body, []byte(text)):
		c.s.tally.failed(kind + ": an answer without what was asked for")
		return a, false
	}
	c.s.tally.did(kind)
	return a, true
}

// provokes makes a call that must fail with a fault. The server may also answer that it is too busy
// to check a password.
func (c *client) provokes(ctx context.Context, kind string, request []byte, fault string) {
	a, ok := c.do(ctx, kind, request)
	if !ok || c.busy(ctx, a) {
		return
	}
	if m := faultName.FindSubmatch(a.Body); a.Status != http.StatusInternalServerError || m == nil ||
		string(m[1]) != fault {
		c.s.tally.failed(kind + ": " + describe(a))
		return
	}
	c.s.tally.provoked(kind)
}

// busy waits if the server asks the client to try again later, and reports whether it did.
func (c *client) busy(ctx context.Context, a load.Answer) bool {
	if a.Status != http.StatusServiceUnavailable || a.RetryAfter <= 0 {
		return false
	}
	c.s.tally.provoked(askedBusy)
	c.pause(ctx, a.RetryAfter)
	return true
}

func (c *client) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// login creates a session. ok is false if the load has ended or the login failed.
func (c *client) login(ctx context.Context, b *binding) (held, bool) {
	for ctx.Err() == nil {
		a, ok := c.do(ctx, didLogin, b.login(c.s.User, c.s.Password))
		if ok && c.busy(ctx, a) {
			continue
		}
		if ok && a.Status == http.StatusOK {
			if h, ok := c.session(b, a); ok {
				c.s.tally.did(didLogin)
				return h, true
			}
		}
		if ok {
			c.s.tally.failed(didLogin + ": " + describe(a))
			c.pause(ctx, 100*time.Millisecond)
		}
	}
	return held{}, false
}

// session returns the session in the response to a login or a clone.
func (c *client) session(b *binding, a load.Answer) (held, bool) {
	m, token := b.key.FindSubmatch(a.Body), b.token(a)
	if m == nil || len(token) == 0 {
		return held{}, false
	}
	return held{key: string(m[1]), token: string(token), at: time.Now()}, true
}

// ticket acquires a clone ticket.
func (c *client) ticket(ctx context.Context, b *binding, token string) (string, bool) {
	a, ok := c.wants(ctx, didAcquire, b.acquire(token), "cst-")
	if !ok {
		return "", false
	}
	t, err := b.ticket(a.Body)
	if err != nil {
		c.s.tally.failed(didAcquire + ": an answer without a ticket")
	}
	return t, err == nil
}

// isDead checks that a session that has ended can't be used.
func (c *client) isDead(ctx context.Context, b *binding, kind, token string) {
	c.provokes(ctx, kind, b.acquire(token), "NotAuthenticated")
}

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

// binding is how calls are made and answers read.
type binding struct {
	name    string
	login   func(user, password string) []byte
	clone   func(ticket string) []byte
	acquire func(token string) []byte
	read    func(token string) []byte
	logout  func(token string) []byte
	ticket  func([]byte) (string, error)
	token   func(load.Answer) []byte
	key     *regexp.Regexp // of the session in an answer
}

var bindings = [2]binding{
	{
		name: "VI JSON",
		login: func(user, password string) []byte {
			return wire.Post(wire.SessionManager+"Login", "", fmt.Sprintf(`{"userName":%q,"password":%q}`, user, password))
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
		login: func(user, password string) []byte { // both without characters that XML needs escaped
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

// held is a session as its client has it.
type held struct {
	key, token string
	at         time.Time // of the last call
}

// client makes calls, one at a time, over a connection of its own that it
// renews from time to time.
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
		_ = c.conn.Close() // it is not used any more
		c.conn = nil
	}
}

// do makes a call. A call without an answer is an error, whatever it was. It
// goes on beyond the end of the load: what was begun is judged.
func (c *client) do(ctx context.Context, kind string, request []byte) (load.Answer, bool) {
	a, err := c.call(ctx, request, callTimeout)
	if err != nil {
		c.s.tally.failed(kind + ": no answer: " + reason(err))
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

// reason is why a call had no answer, without addresses.
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

// faultName finds a fault's type in an answer of either binding.
var faultName = regexp.MustCompile(`(?:^\{"_typeName":|xsi:type=)"([A-Za-z]+)"`)

// describe names an answer. It quotes nothing but a fault's type.
func describe(a load.Answer) string {
	if m := faultName.FindSubmatch(a.Body); m != nil && a.Status != http.StatusOK {
		return fmt.Sprintf("status %d %s", a.Status, m[1])
	}
	return fmt.Sprintf("status %d", a.Status)
}

// wants makes a call that is to succeed, and to hold text where that is given.
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

// provokes makes a call that is to fail with a fault. A server that is too busy
// to check a password may say so.
func (c *client) provokes(ctx context.Context, kind string, request []byte, fault string) {
	a, ok := c.do(ctx, kind, request)
	if !ok || c.busy(ctx, a) {
		return
	}
	if m := faultName.FindSubmatch(a.Body); a.Status != http.StatusInternalServerError || m == nil || string(m[1]) != fault {
		c.s.tally.failed(kind + ": " + describe(a))
		return
	}
	c.s.tally.provoked(kind)
}

// busy heeds a server that says when to come back.
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

// login opens a session; ok is false where the load has ended or there is none.
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

// session reads the answer to a way in.
func (c *client) session(b *binding, a load.Answer) (held, bool) {
	m, token := b.key.FindSubmatch(a.Body), b.token(a)
	if m == nil || len(token) == 0 {
		return held{}, false
	}
	return held{key: string(m[1]), token: string(token), at: time.Now()}, true
}

// ticket acquires one.
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

// isDead wants a session that has ended to be of no use.
func (c *client) isDead(ctx context.Context, b *binding, kind, token string) {
	c.provokes(ctx, kind, b.acquire(token), "NotAuthenticated")
}

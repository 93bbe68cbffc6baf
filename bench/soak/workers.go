//go:build linux

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/vigate/vigate/bench/wire"
)

// The kinds of calls, and the provoked refusals.
const (
	didLogin     = "log in by password"
	didClone     = "clone a session"
	didAcquire   = "acquire a ticket"
	didRead      = "read the session, VI JSON"
	didReadSOAP  = "read the session, SOAP"
	didLogout    = "log out"
	didTerminate = "terminate a session"
	didFilter    = "make a filter"
	didDestroy   = "destroy a filter"
	didWait      = "wait for updates"

	askedHangUp     = "hang up while waiting"
	askedPassword   = "log in with a wrong password"
	askedTicket     = "clone with a wrong ticket"
	askedSpent      = "clone with a spent ticket"
	askedLoggedOut  = "use a session that was logged out"
	askedTerminated = "use a session that was terminated"
	askedExpired    = "use a session that has expired"
	askedLate       = "terminate a session that has expired"
	askedBusy       = "told to come back: too many passwords to hash" // depends on the speed of the machine
)

// kinds lists the kinds that must happen in every run.
var kinds = []string{
	didLogin, didClone, didAcquire, didRead, didReadSOAP, didLogout, didTerminate, didFilter, didDestroy, didWait,
	askedHangUp, askedPassword, askedTicket, askedSpent, askedLoggedOut, askedTerminated, askedExpired,
}

// logger logs in as fast as the server hashes passwords. One third of its sessions is logged out,
// one third expires, and one third is terminated.
func (s *soak) logger(ctx context.Context, i int) {
	c := s.client()
	defer c.close()
	for n := i; ctx.Err() == nil; n++ {
		b := &bindings[n%2]
		h, ok := c.login(ctx, b)
		if !ok {
			continue
		}
		c.reads(ctx, b, h)
		switch n % 3 {
		case 0:
			c.logout(ctx, b, h)
		case 1:
			s.terminate(h)
		}
	}
}

func (c *client) reads(ctx context.Context, b *binding, h held) {
	kind := didRead
	if b.name == "SOAP" {
		kind = didReadSOAP
	}
	c.wants(ctx, kind, b.read(h.token), h.key)
}

func (c *client) logout(ctx context.Context, b *binding, h held) {
	if _, ok := c.wants(ctx, didLogout, b.logout(h.token), ""); ok {
		c.isDead(ctx, b, askedLoggedOut, h.token)
	}
}

// terminate passes a session to the administrator. If the administrator's queue is full, the
// session expires.
func (s *soak) terminate(h held) {
	h.at = time.Now()
	select {
	case s.ends <- h:
	default:
	}
}

// cloners is the number of workers that share the clones.
const cloners = 8

// cloner clones its own session at its share of the rate. A quarter of the clones is logged out, a
// quarter is terminated, and the others expire. Some of the tickets are used twice, and some are
// never used.
func (s *soak) cloner(ctx context.Context, i int) {
	c := s.client()
	defer c.close()
	b := &bindings[i%2]
	own, ok := c.login(ctx, b)
	tick := time.NewTicker(max(time.Millisecond, time.Second*cloners/time.Duration(s.Clones)))
	defer tick.Stop()
	var left []held // some of the sessions that will expire, oldest first
	for n := 0; ok; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if h, ok := c.cloned(ctx, b, own, n); ok {
			switch n % 4 {
			case 0:
				c.logout(ctx, b, h)
			case 1:
				s.terminate(h)
			case 2:
				if len(left) < 100 {
					left = append(left, h)
				}
			}
		}
		// A second is added because the clocks of two processes are compared.
		if len(left) > 0 && time.Since(left[0].at) > s.Idle+time.Second {
			c.isDead(ctx, b, askedExpired, left[0].token)
			left = left[1:]
		}
	}
}

// cloned does one cycle: it acquires a ticket and clones the session.
func (c *client) cloned(ctx context.Context, b *binding, own held, n int) (held, bool) {
	ticket, ok := c.ticket(ctx, b, own.token)
	if !ok || n%20 == 19 {
		return held{}, false
	}
	a, ok := c.wants(ctx, didClone, b.clone(ticket), "")
	if !ok {
		return held{}, false
	}
	h, ok := c.session(b, a)
	if !ok {
		c.s.tally.failed(didClone + ": an answer without a session")
	}
	if n%20 == 9 {
		c.provokes(ctx, askedSpent, b.clone(ticket), "InvalidLogin")
	}
	return h, ok
}

// reader reads as fast as possible, and creates a new session from time to time.
func (s *soak) reader(ctx context.Context, i int) {
	c := s.client()
	defer c.close()
	b := &bindings[i%2]
	for ctx.Err() == nil {
		h, ok := c.login(ctx, b)
		if !ok {
			return
		}
		for range 20_000 {
			if ctx.Err() != nil {
				break
			}
			c.reads(ctx, b, h)
		}
		c.logout(ctx, b, h)
	}
}

var versionOf = regexp.MustCompile(`"version":"([^"]*)"`)

// waiter waits for a property that changes all the time and for one that never changes. It ends in
// one of three ways: it cleans up, it leaves its filter behind, or it disconnects while it waits.
func (s *soak) waiter(ctx context.Context, i int) {
	c := s.client()
	defer c.close()
	b := &bindings[0]
	for n := i; ctx.Err() == nil; n++ {
		h, ok := c.login(ctx, b)
		if !ok {
			return
		}
		object, path := "EventManager", "latestEvent"
		if n%2 == 1 {
			object, path = "SessionManager", "defaultLocale"
		}
		filter, ok := c.filter(ctx, h, object, path)
		if !ok {
			continue
		}
		version := c.waits(ctx, h, "", 10)
		for range 3 {
			version = c.waits(ctx, h, version, 1)
		}
		switch n % 3 {
		case 0:
			c.wants(ctx, didDestroy, wire.Post(wire.Root+"PropertyFilter/"+url.PathEscape(
				filter)+"/DestroyPropertyFilter", h.token, ""), "")
			c.logout(ctx, b, h)
		case 1:
			c.logout(ctx, b, h)
		case 2:
			c.hangUp(ctx, h, version)
		}
	}
}

var filterOf = regexp.MustCompile(`"type":"PropertyFilter","value":"([^"]+)"`)

// filter creates a filter for a property and returns its id in the form that paths use.
func (c *client) filter(ctx context.Context, h held, object, path string) (string, bool) {
	a, ok := c.wants(ctx, didFilter, wire.Post(collector+"CreateFilter", h.token, fmt.Sprintf(
		`{"spec":{"_typeName":"PropertyFilterSpec","propSet":[{"_typeName":"PropertySpec","type":%q,"pathSet":[%q]}],`+
			`"objectSet":[{"_typeName":"ObjectSpec","obj":{"_typeName":"ManagedObjectReference","type":%[1]q,`+
			`"value":%[1]q}}]},"partialUpdates":false}`,
		object, path)), "PropertyFilter")
	if !ok {
		return "", false
	}
	m := filterOf.FindSubmatch(a.Body)
	if m == nil {
		c.s.tally.failed(didFilter + ": an answer without a filter")
		return "", false
	}
	return string(m[1]), true
}

const collector = wire.Root + "PropertyCollector/propertyCollector/"

func waitRequest(token, version string, seconds int) []byte {
	return wire.Post(collector+"WaitForUpdatesEx", token,
		fmt.Sprintf(`{"version":%q,"options":{"_typeName":"WaitOptions","maxWaitSeconds":%d}}`, version, seconds))
}

// waits waits once and returns the next version.
func (c *client) waits(ctx context.Context, h held, version string, seconds int) string {
	a, ok := c.wants(ctx, didWait, waitRequest(h.token, version, seconds), "")
	if m := versionOf.FindSubmatch(a.Body); ok && a.Status == http.StatusOK && m != nil {
		return string(m[1])
	}
	return version
}

// hangUp disconnects while the server waits, or after the response if it was fast enough.
func (c *client) hangUp(ctx context.Context, h held, version string) {
	_, _ = c.call(ctx, waitRequest(h.token, version, 5), 100*time.Millisecond) // the response will be too late
	c.close()
	c.s.tally.provoked(askedHangUp)
}

// terminator is the administrator who terminates sessions of others.
func (s *soak) terminator(ctx context.Context, _ int) {
	c := s.client()
	defer c.close()
	b := &bindings[0]
	own, ok := c.login(ctx, b)
	// keeps the session alive if there is nothing to terminate
	alive := time.NewTicker(max(s.Idle/4, 10*time.Millisecond))
	defer alive.Stop()
	for ok {
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			c.reads(ctx, b, own)
		case h := <-s.ends:
			request := wire.Post(wire.SessionManager+"TerminateSession", own.token,
				fmt.Sprintf(`{"sessionId":[%q]}`, h.key))
			// A session that was in the queue for long may have expired, which is not an error.
			if time.Since(h.at) > s.Idle/2 {
				s.late(ctx, c, request)
			} else if _, ok := c.wants(ctx, didTerminate, request, ""); ok {
				c.isDead(ctx, b, askedTerminated, h.token)
			}
		}
	}
}

func (s *soak) late(ctx context.Context, c *client, request []byte) {
	a, ok := c.do(ctx, didTerminate, request)
	switch m := faultName.FindSubmatch(a.Body); {
	case !ok:
	case a.Status == http.StatusNoContent:
		s.tally.did(didTerminate)
	case m != nil && string(m[1]) == "NotFound":
		s.tally.provoked(askedLate)
	default:
		s.tally.failed(didTerminate + ": " + describe(a))
	}
}

// guesser tries passwords of a few users that don't exist, or tickets.
func (s *soak) guesser(ctx context.Context, i int) {
	c := s.client()
	defer c.close()
	for n := 0; ctx.Err() == nil; n++ {
		b := &bindings[n%2]
		if i == 0 {
			c.provokes(ctx, askedPassword, b.login(fmt.Sprintf("guessed-%d", n%50), "a wrong one"), "InvalidLogin")
			c.pause(ctx, 500*time.Millisecond)
			continue
		}
		ticket := fmt.Sprintf("cst-VCT-%08x-0000-4000-8000-%012x", rand.Uint32(), rand.Uint64()>>16)
		c.provokes(ctx, askedTicket, b.clone(ticket), "InvalidLogin")
		c.pause(ctx, 50*time.Millisecond)
	}
}

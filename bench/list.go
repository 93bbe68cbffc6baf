//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// list measures P6: one read of the whole list of sessions.
func list(ctx context.Context, r *rig) ([]figure.Figure, error) {
	if err := r.populate(ctx, "list", r.List); err != nil {
		return nil, err
	}
	s, err := r.startVigate(ctx, "list")
	if err != nil {
		return nil, err
	}
	token, err := login(ctx, s)
	if err != nil {
		return nil, err
	}
	peer, err := r.startPeer(ctx)
	if err != nil {
		return nil, err
	}
	cookie, err := r.peerSessions(ctx, peer, r.PeerList)
	if err != nil {
		return nil, err
	}
	var own, theirs, more, moreTheirs figure.Series
	for range r.Rounds {
		took, grown, err := readList(ctx, s, wire.Get(wire.SessionManager+"sessionList", token), r.List)
		if err != nil {
			return nil, err
		}
		own, more = append(own, took), append(more, grown)
		if took, grown, err = readList(ctx, peer, wire.SOAPProperty(cookie, "sessionList"), r.PeerList); err != nil {
			return nil, err
		}
		// For a longer list, the peer's time grows at least in proportion.
		theirs = append(theirs, took*float64(r.List)/float64(r.PeerList))
		moreTheirs = append(moreTheirs, grown)
	}
	note := fmt.Sprintf("the peer over SOAP, with %s sessions", figure.Number(float64(r.PeerList)))
	if r.PeerList != r.List {
		note += ", its time in proportion"
	}
	what := fmt.Sprintf("sessionList of %s", figure.Number(float64(r.List)))
	return []figure.Figure{
		{ID: "P6", What: what + ", times as fast", Unit: "s", Peer: theirs, Vigate: own, Against: "peer",
			Ratio: theirs.Over(own), Goal: figure.AtLeast(10), Note: note},
		{ID: "P6", What: what + ", more resident", Unit: "MB", Peer: moreTheirs, Vigate: more, Goal: figure.AtMost(20)},
	}, errors.Join(r.stop(s), r.stop(peer))
}

// peerSessions logs in n times and returns the cookie of one session.
func (r *rig) peerSessions(ctx context.Context, s *server, n int) (string, error) {
	c, err := load.Dial(ctx, s.target())
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.Deadline(time.Now().Add(20 * time.Minute)); err != nil {
		return "", err
	}
	var cookie string
	for range n {
		a, err := c.Do(peerLoginRequest())
		if err != nil {
			return "", err
		}
		if a.Status != http.StatusOK || len(a.Cookie) == 0 {
			return "", fmt.Errorf("log in to %s: status %d", s.name, a.Status)
		}
		cookie = string(a.Cookie)
	}
	return cookie, nil
}

// leastSession is a lower bound on the size of a session in a list, in bytes.
const leastSession = 200

// readList reads a whole list. It returns the time in seconds, and the growth of the server's
// resident memory at its peak in MB.
func readList(ctx context.Context, s *server, request []byte, sessions int) (took, grown float64, err error) {
	c, err := load.Dial(ctx, s.target())
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if err := c.Deadline(time.Now().Add(5 * time.Minute)); err != nil {
		return 0, 0, err
	}
	if err := s.ResetPeak(); err != nil {
		return 0, 0, err
	}
	before, err := s.Memory()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	a, err := c.Do(request)
	took = time.Since(began).Seconds()
	if err != nil {
		return 0, 0, fmt.Errorf("read list of %s: %w", s.name, err)
	}
	// A shorter response can't contain all sessions.
	if a.Status != http.StatusOK || a.Length < int64(sessions)*leastSession {
		return 0, 0, fmt.Errorf("read list of %s: status %d, %d bytes", s.name, a.Status, a.Length)
	}
	after, err := s.Memory()
	return took, float64(after.Peak-before.Resident) / 1e6, err
}

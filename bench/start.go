//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/wire"
)

// start measures the clean start of P7: the time from the start of the process to the response to
// the first login, with data that a clean shutdown has left.
func start(ctx context.Context, r *rig) ([]figure.Figure, error) {
	first, err := r.startVigate(ctx, "start")
	if err != nil {
		return nil, err
	}
	if err := r.stop(first); err != nil {
		return nil, err
	}
	var peer, own figure.Series
	for range r.Rounds {
		took, err := r.firstLogin(ctx, func() (*server, error) {
			return r.launch("peer", "", func(s *server) []string { return []string{"-plain", s.plain} })
		}, peerLoginRequest())
		if err != nil {
			return nil, err
		}
		peer = append(peer, took)
		hash := bareHash()
		if took, err = r.firstLogin(ctx, func() (*server, error) { return r.launchVigate("start") },
			loginRequest()); err != nil {
			return nil, err
		}
		own = append(own, max(0, took-hash))
	}
	return []figure.Figure{{ID: "P7", What: "clean start to first login, besides the hash", Unit: "s", Peer: peer,
		Vigate: own, Goal: figure.AtMost(0.15)}}, nil
}

// firstLogin returns the time in seconds from the launch to the response to a login.
func (r *rig) firstLogin(ctx context.Context, launch func() (*server, error), request []byte) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	began := time.Now()
	s, err := launch()
	if err != nil {
		return 0, err
	}
	err = s.Poll(ctx, func() error {
		a, err := once(ctx, s.target(), request)
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("status %d: %.200s", a.Status, a.Body)
		}
		return err
	})
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, fmt.Errorf("log in to %s: %w", s.name, err)
	}
	return took, r.stop(s)
}

// many measures P3, P5 and the crash of P7: it compares a server with very many sessions with one
// that has a few.
func many(ctx context.Context, r *rig) ([]figure.Figure, error) {
	if err := r.basic(ctx); err != nil {
		return nil, err
	}
	few, err := r.few(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.populate(ctx, "many", r.Sessions); err != nil {
		return nil, err
	}
	s, err := r.startVigate(ctx, "many")
	if err != nil {
		return nil, err
	}
	var ready figure.Series
	for range r.Rounds {
		delete(r.running, s)
		if err := s.Kill(); err != nil {
			return nil, err
		}
		began := time.Now()
		if s, err = r.startVigate(ctx, "many"); err != nil {
			return nil, err
		}
		ready = append(ready, time.Since(began).Seconds())
	}
	token, err := login(ctx, s)
	if err != nil {
		return nil, err
	}
	resting, err := s.Memory()
	if err != nil {
		return nil, err
	}
	all, err := r.manyReads(ctx, s, token)
	if err != nil {
		return nil, err
	}
	busy, err := s.Memory()
	if err != nil {
		return nil, err
	}
	if err := r.heap(ctx, s, "p5"); err != nil {
		return nil, err
	}
	n := float64(r.Sessions)
	share := n / 1e6
	all = append(all,
		figure.Figure{ID: "P5", What: fmt.Sprintf("memory per session, of %s", figure.Number(n)), Unit: "B",
			Vigate: figure.Series{float64(busy.Resident-few.Resident) / n}, Goal: figure.AtMost(700),
			Note: fmt.Sprintf("resident after reads; %s B before them, %s B without mapped files",
				figure.Number(float64(resting.Resident-few.Resident)/n), figure.Number(float64(busy.Anon-few.Anon)/n))},
		figure.Figure{ID: "P7", What: fmt.Sprintf("kill -9 with %s sessions, until ready", figure.Number(n)), Unit: "s",
			Vigate: ready, Goal: figure.AtMost(4 * share),
			Note: "the goal in proportion to 4 s for 1,000,000"})
	return all, r.stop(s)
}

// few returns the memory of vigate with a few sessions, after reads.
func (r *rig) few(ctx context.Context) (m struct{ Resident, Anon int64 }, err error) {
	s, err := r.startVigate(ctx, "few")
	if err != nil {
		return m, err
	}
	token, err := login(ctx, s)
	if err != nil {
		return m, err
	}
	if _, err := r.measure(ctx, s, s.target(), 16, readSession(token)); err != nil {
		return m, err
	}
	got, err := s.Memory()
	if err != nil {
		return m, err
	}
	m.Resident, m.Anon = got.Resident, got.Anon
	return m, r.stop(s)
}

// populate creates a data directory with an administrator and generated sessions.
func (r *rig) populate(ctx context.Context, data string, sessions int) error {
	s, err := r.startVigate(ctx, data)
	if err != nil {
		return err
	}
	if err := r.stop(s); err != nil {
		return err
	}
	return r.fill(ctx, data, sessions)
}

// manyReads measures P3: the server with few sessions and the one with many are measured in turns.
func (r *rig) manyReads(ctx context.Context, s *server, token string) ([]figure.Figure, error) {
	kinds := []struct {
		what    string
		served  bool
		request func(token string) []byte
	}{
		{"P1", true, readSession},
		{"P2", r.soap, func(token string) []byte { return wire.SOAPProperty(token, "currentSession") }},
	}
	var all []figure.Figure
	for _, k := range kinds {
		f := figure.Figure{ID: "P3", What: fmt.Sprintf("%s c=16 with %s sessions, against few", k.what,
			figure.Number(float64(r.Sessions))), Unit: "req/s",
			Against: "few", Goal: figure.AtLeast(0.90), Note: "few in the floor's column"}
		if !k.served {
			f.Note = "not served"
			all = append(all, f)
			continue
		}
		var one, lots samples
		if err := r.rounds(ctx, 16,
			turn{r.vigate, r.vigate.target(), k.request(r.token), &one},
			turn{s, s.target(), k.request(token), &lots}); err != nil {
			return nil, err
		}
		f.Floor, f.Vigate, f.Ratio = one.rate, lots.rate, lots.rate.Over(one.rate)
		all = append(all, f)
	}
	return all, nil
}

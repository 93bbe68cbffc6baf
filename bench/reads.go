//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// sample is the result of one measurement.
type sample struct {
	rate float64 // requests per second
	p50  float64 // µs
	p99  float64 // µs
	cpu  float64 // µs of the server's processor time per request
}

// samples holds the samples of a server, one per round.
type samples struct{ rate, p50, p99, cpu figure.Series }

func (s *samples) add(v sample) {
	s.rate, s.cpu = append(s.rate, v.rate), append(s.cpu, v.cpu)
	s.p50, s.p99 = append(s.p50, v.p50), append(s.p99, v.p99)
}

// measure loads a server with one request.
func (r *rig) measure(ctx context.Context, s *server, t load.Target, conns int, request []byte) (sample, error) {
	before, err := s.CPU()
	if err != nil {
		return sample{}, err
	}
	res, err := load.Run(ctx, load.Config{Target: t, Conns: conns, Warm: r.Warm, Duration: r.Duration},
		load.Requests(request, http.StatusOK))
	if err != nil {
		return sample{}, fmt.Errorf("load %s: %w", s.name, err)
	}
	after, err := s.CPU()
	if err != nil {
		return sample{}, err
	}
	// The processor time includes the requests of the warm-up, but the count does not.
	share := float64(r.Duration) / float64(r.Duration+r.Warm)
	return sample{
		rate: res.Rate,
		p50:  float64(res.Latencies.Quantile(0.5).Nanoseconds()) / 1000,
		p99:  float64(res.Latencies.Quantile(0.99).Nanoseconds()) / 1000,
		cpu:  float64((after - before).Microseconds()) * share / float64(res.Steps),
	}, nil
}

// turn is one server's measurement in a round.
type turn struct {
	s       *server
	t       load.Target
	request []byte
	to      *samples
}

// rounds measures the servers in turns. Every other round is in reverse order, so that no server is
// always the first.
func (r *rig) rounds(ctx context.Context, conns int, turns ...turn) error {
	turns = slices.Clone(turns)
	for range r.Rounds {
		for _, t := range turns {
			v, err := r.measure(ctx, t.s, t.t, conns, t.request)
			if err != nil {
				return err
			}
			t.to.add(v)
		}
		slices.Reverse(turns)
	}
	return nil
}

// basic starts the three servers if they are not running.
func (r *rig) basic(ctx context.Context) (err error) {
	if r.vigate != nil {
		return nil
	}
	if r.vigate, err = r.startVigate(ctx, "basic"); err != nil {
		return err
	}
	if r.token, err = login(ctx, r.vigate); err != nil {
		return err
	}
	size, err := check(ctx, r.vigate.target(), readSession(r.token), `"userName"`)
	if err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	if r.soap, err = servesSOAP(ctx, r.vigate, r.token); err != nil {
		return err
	}
	if r.floor, err = r.startFloor(ctx, size); err != nil {
		return err
	}
	r.peer, err = r.startPeer(ctx)
	return err
}

// readWarm is the warm-up time for new connections.
const readWarm = 150 * time.Millisecond

// reads measures P1 and P2: repeated reads of one session.
func reads(ctx context.Context, r *rig) ([]figure.Figure, error) {
	if err := r.basic(ctx); err != nil {
		return nil, err
	}
	short := *r
	short.Rounds, short.Duration, short.Warm = r.ReadRounds, r.ReadDuration, readWarm
	cookie, err := peerLogin(ctx, r.peer)
	if err != nil {
		return nil, err
	}
	peerRead := wire.SOAPProperty(cookie, "currentSession")
	if _, err := check(ctx, r.peer.target(), peerRead, "loginTime"); err != nil {
		return nil, fmt.Errorf("read session of the peer: %w", err)
	}
	var all []figure.Figure
	for _, conns := range []int{16, 64} {
		var floor, peer, json, soap samples
		turns := []turn{
			{r.floor, r.floor.target(), readSession(floorToken), &floor},
			{r.vigate, r.vigate.target(), readSession(r.token), &json},
			{r.peer, r.peer.target(), peerRead, &peer},
		}
		if r.soap {
			turns = append(turns, turn{r.vigate, r.vigate.target(), wire.SOAPProperty(r.token, "currentSession"),
				&soap})
		}
		if err := short.rounds(ctx, conns, turns...); err != nil {
			return nil, err
		}
		at := fmt.Sprintf("c=%d", conns)
		all = append(all, readFigures("VI JSON "+at, floor, peer, json)...)
		all = append(all, soapFigures("SOAP "+at, floor, peer, soap)...)

		floor, json = samples{}, samples{}
		if err := short.rounds(ctx, conns,
			turn{r.floor, r.floor.tlsTarget(), readSession(floorToken), &floor},
			turn{r.vigate, r.vigate.tlsTarget(), readSession(r.token), &json}); err != nil {
			return nil, err
		}
		all = append(all, readFigures("VI JSON over TLS "+at, floor, samples{}, json)...)
	}
	return all, r.profileReads(ctx)
}

func readFigures(what string, floor, peer, json samples) []figure.Figure {
	return []figure.Figure{
		{ID: "P1", What: what, Unit: "req/s", Floor: floor.rate, Peer: peer.rate, Vigate: json.rate,
			Against: "floor", Ratio: json.rate.Over(floor.rate), Goal: figure.AtLeast(0.80)},
		{ID: "P1", What: what + ", p99", Unit: "µs", Floor: floor.p99, Peer: peer.p99, Vigate: json.p99,
			Against: "floor", Ratio: json.p99.Over(floor.p99), Goal: figure.AtMost(1.35)},
		{ID: "P1", What: what + ", processor", Unit: "µs/req", Floor: floor.cpu, Peer: peer.cpu, Vigate: json.cpu,
			Against: "floor", Ratio: json.cpu.Over(floor.cpu)},
	}
}

func soapFigures(what string, floor, peer, soap samples) []figure.Figure {
	note := ""
	if len(soap.rate) == 0 {
		note = "not served"
	}
	return []figure.Figure{
		{ID: "P2", What: what, Unit: "req/s", Floor: floor.rate, Peer: peer.rate, Vigate: soap.rate,
			Against: "floor", Ratio: soap.rate.Over(floor.rate), Goal: figure.AtLeast(0.60), Note: note},
		{ID: "P2", What: what, Unit: "req/s", Floor: floor.rate, Peer: peer.rate, Vigate: soap.rate,
			Against: "peer", Ratio: soap.rate.Over(peer.rate), Goal: figure.AtLeast(3.5), Note: note},
		{ID: "P2", What: what + ", processor", Unit: "µs/req", Floor: floor.cpu, Peer: peer.cpu, Vigate: soap.cpu,
			Against: "floor", Ratio: soap.cpu.Over(floor.cpu), Note: note},
	}
}

// profileTime is long enough for a profile with enough samples.
const profileTime = 5 * time.Second

// profileReads writes the profiles of reads. They are taken outside the measurements.
func (r *rig) profileReads(ctx context.Context) error {
	if r.Profile == "" {
		return nil
	}
	requests := map[string][]byte{"p1": readSession(r.token)}
	if r.soap {
		requests["p2"] = wire.SOAPProperty(r.token, "currentSession")
	}
	long := *r
	long.Duration = profileTime
	r = &long
	for name, request := range requests {
		err := r.profile(ctx, r.vigate, name, func() error {
			_, err := r.measure(ctx, r.vigate, r.vigate.target(), 16, request)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

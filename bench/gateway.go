//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vigate/vigate/bench/crowd"
	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/process"
	"github.com/vigate/vigate/bench/wire"
)

// gate is vigate in front of two servers. The light one answers with constants, and also has a front that passes
// passwords through. The other one is the simulator. The proxy is in front of the light one.
type gate struct {
	light, simulated, proxy *server
	vigate                  *server
	// lightFront, through and front are vigate, each at the address of one front.
	lightFront, through, front *server

	cookie string // of a session of the light one
	token  string // of a session of its front
}

// maxUpstream is the number of sessions that vigate may have at the simulator.
const maxUpstream = 10

// upstreamUser is the name and the password of the user of both servers.
const upstreamUser = "bench"

// frontConfig is the configuration of the fronts.
const frontConfig = `dev: true
upstreams:
  - name: light
    url: http://%[1]s/sdk
    plain-http: %[2]s
    accounts: [{name: bench, username: bench, password-file: upstream-password, for: [%[6]q]}]
  - name: through
    url: http://%[1]s/sdk
    plain-http: %[3]s
    pass-through: true
  - name: simulated
    url: http://%[4]s/sdk
    plain-http: %[5]s
    max-sessions: %[7]d
    accounts: [{name: bench, username: bench, password-file: upstream-password, for: [%[6]q]}]
`

// openGate starts all servers.
func (r *rig) openGate(ctx context.Context) (_ *gate, err error) {
	g := &gate{}
	if g.light, err = r.startBeside(ctx, "upstream", "-light"); err != nil {
		return nil, err
	}
	if g.simulated, err = r.startBeside(ctx, "upstream"); err != nil {
		return nil, err
	}
	if g.proxy, err = r.startBeside(ctx, "proxy", "-upstream", g.light.plain); err != nil {
		return nil, err
	}
	var fronts [3]string
	for i := range fronts {
		if fronts[i], err = process.FreeAddress(); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(r.dir, "gateway.yaml")
	for name, text := range map[string]string{
		file: fmt.Sprintf(frontConfig, g.light.plain, fronts[0], fronts[1], g.simulated.plain, fronts[2], adminUser,
			maxUpstream),
		filepath.Join(r.dir, "upstream-password"): upstreamUser,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if g.vigate, err = r.launchVigate("gateway", "--config", file, "--log-level", "warn"); err != nil {
		return nil, err
	}
	for i, to := range []**server{&g.lightFront, &g.through, &g.front} {
		front := *g.vigate
		front.plain, *to = fronts[i], &front
		if err := front.ready(ctx); err != nil {
			return nil, err
		}
	}
	return g, g.logIn(ctx)
}

// startBeside starts a server of the benchmark's own.
func (r *rig) startBeside(ctx context.Context, name string, args ...string) (*server, error) {
	s, err := r.launch(name, "", func(s *server) []string { return append([]string{"-plain", s.plain}, args...) })
	if err != nil {
		return nil, err
	}
	return s, s.connects(ctx, s.plain)
}

// logIn starts the sessions, and checks that both ways to the light server give the same.
func (g *gate) logIn(ctx context.Context) (err error) {
	if g.cookie, err = peerLogin(ctx, g.proxy); err != nil {
		return err
	}
	if g.token, err = login(ctx, g.lightFront); err != nil {
		return err
	}
	const name = ">DC0_H0_VM0<"
	if _, err := check(ctx, g.proxy.target(), oneName(g.cookie), name); err != nil {
		return fmt.Errorf("read by the proxy: %w", err)
	}
	if _, err := check(ctx, g.lightFront.target(), oneName(g.token), name); err != nil {
		return fmt.Errorf("read by the front: %w", err)
	}
	if _, err := check(ctx, g.lightFront.target(), jsonName(g.token), `"DC0_H0_VM0"`); err != nil {
		return fmt.Errorf("read by the front over VI JSON: %w", err)
	}
	return nil
}

// The same property of the same machine over SOAP and over VI JSON.
func oneName(token string) []byte { return machine(token, "name") }
func jsonName(token string) []byte {
	return wire.Get(wire.Root+"VirtualMachine/vm-62/name", token)
}

func machine(token, property string) []byte {
	return wire.SOAP(token, `<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector`+
		`</_this><specSet><propSet><type>VirtualMachine</type><pathSet>`+property+`</pathSet></propSet>`+
		`<objectSet><obj type="VirtualMachine">vm-62</obj></objectSet></specSet><options></options>`+
		`</RetrievePropertiesEx>`)
}

// gateway measures G1 to G6.
func gateway(ctx context.Context, r *rig) ([]figure.Figure, error) {
	g, err := r.openGate(ctx)
	if err != nil {
		return nil, err
	}
	var all []figure.Figure
	for _, measure := range []func(context.Context, *rig, *gate) ([]figure.Figure, error){
		reading, streaming, verified, sharing, losing,
	} {
		figures, err := measure(ctx, r, g)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, errors.Join(r.stop(g.vigate), r.stop(g.proxy), r.stop(g.light), r.stop(g.simulated))
}

// reading measures G1 and G4: a read of one property.
func reading(ctx context.Context, r *rig, g *gate) ([]figure.Figure, error) {
	short := *r
	short.Rounds, short.Duration, short.Warm = r.ReadRounds, r.ReadDuration, readWarm
	var all []figure.Figure
	for _, conns := range []int{1, 16, 64} {
		var floor, soap, json samples
		turns := []turn{
			{g.proxy, g.proxy.target(), oneName(g.cookie), &floor},
			{g.lightFront, g.lightFront.target(), oneName(g.token), &soap},
		}
		if conns == 16 {
			turns = append(turns, turn{g.lightFront, g.lightFront.target(), jsonName(g.token), &json})
		}
		if err := short.rounds(ctx, conns, turns...); err != nil {
			return nil, err
		}
		what := fmt.Sprintf("RetrievePropertiesEx of one property c=%d", conns)
		if conns == 1 {
			all = append(all, latency(what, floor.p50, soap.p50))
			continue
		}
		all = append(all,
			figure.Figure{ID: "G1", What: what, Unit: "req/s", Floor: floor.rate, Vigate: soap.rate, Against: "proxy",
				Ratio: soap.rate.Over(floor.rate), Goal: figure.AtLeast(0.9), Note: proxyNote},
			figure.Figure{ID: "G1", What: what + ", processor", Unit: "µs/req", Floor: floor.cpu, Vigate: soap.cpu,
				Against: "proxy", Ratio: soap.cpu.Over(floor.cpu)})
		if conns == 16 {
			all = append(all, figure.Figure{ID: "G4", What: "VI JSON of one property c=16", Unit: "req/s",
				Floor: soap.rate, Vigate: json.rate, Against: "SOAP", Ratio: json.rate.Over(soap.rate),
				Goal: figure.AtLeast(0.5), Note: "SOAP on the same front in the floor's column"})
		}
	}
	return all, r.profileGate(ctx, g)
}

const proxyNote = "the bare proxy in the floor's column"

// latency returns the figure for how much longer a call takes than through the proxy. The values are in µs.
func latency(what string, floor, own figure.Series) figure.Figure {
	var more figure.Series
	for i := range own {
		more = append(more, (own[i]-floor[i])/1000)
	}
	return figure.Figure{ID: "G1", What: what + ", p50 above the bare proxy's", Unit: "ms", Vigate: more,
		Goal: figure.AtMost(0.1), Note: fmt.Sprintf("%s µs, and %s µs by the proxy", figure.Number(own.Median()),
			figure.Number(floor.Median()))}
}

// profileGate writes the profiles of G1, G3 and G4.
func (r *rig) profileGate(ctx context.Context, g *gate) error {
	if r.Profile == "" {
		return nil
	}
	long := *r
	long.Duration = profileTime
	for name, request := range map[string][]byte{
		"g1": oneName(g.token), "g3": machine(g.token, "config"), "g4": jsonName(g.token),
	} {
		err := long.profile(ctx, g.vigate, name, func() error {
			_, err := long.measure(ctx, g.lightFront, g.lightFront.target(), 16, request)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// streaming measures G3: an answer of 50 MB.
func streaming(ctx context.Context, r *rig, g *gate) ([]figure.Figure, error) {
	var floor, own samples
	var more figure.Series
	for range r.Rounds {
		v, err := r.measure(ctx, g.proxy, g.proxy.target(), 1, machine(g.cookie, "config"))
		if err != nil {
			return nil, err
		}
		floor.add(v)
		before, err := g.vigate.Memory()
		if err != nil {
			return nil, err
		}
		if err := g.vigate.ResetPeak(); err != nil {
			return nil, err
		}
		if v, err = r.measure(ctx, g.lightFront, g.lightFront.target(), 1, machine(g.token, "config")); err != nil {
			return nil, err
		}
		after, err := g.vigate.Memory()
		if err != nil {
			return nil, err
		}
		own.add(v)
		more = append(more, float64(after.Peak-before.Resident)/1e6)
	}
	return []figure.Figure{
		{ID: "G3", What: "an answer of 50 MB", Unit: "/s", Floor: floor.rate, Vigate: own.rate, Against: "proxy",
			Ratio: own.rate.Over(floor.rate), Goal: figure.AtLeast(0.8), Note: proxyNote},
		{ID: "G3", What: "an answer of 50 MB, processor", Unit: "ms", Floor: floor.cpu.Times(0.001),
			Vigate: own.cpu.Times(0.001), Against: "proxy", Ratio: own.cpu.Over(floor.cpu)},
		{ID: "G3", What: "an answer of 50 MB, more resident", Unit: "MB", Vigate: more, Goal: figure.AtMost(8)},
	}, nil
}

// seen is what one of the servers behind vigate has seen.
type seen struct {
	Calls int64 `json:"calls"`
	Most  int   `json:"most"` // sessions at the same time
}

func (s *server) seen(ctx context.Context) (v seen, err error) {
	b, err := fetch(ctx, "http://"+s.plain+"/bench/state")
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(b, &v)
}

// verifiedLogins is the number of logins of G5.
const verifiedLogins = 40

// verified measures G5: logins of a user whose password the server behind has accepted a moment ago.
func verified(ctx context.Context, r *rig, g *gate) ([]figure.Figure, error) {
	request := wire.Post(wire.SessionManager+"Login", "",
		fmt.Sprintf(`{"userName":%q,"password":%[1]q}`, upstreamUser))
	if _, err := check(ctx, g.through.target(), request, `"userName"`); err != nil {
		return nil, fmt.Errorf("log in by pass-through: %w", err)
	}
	before, err := g.light.seen(ctx)
	if err != nil {
		return nil, err
	}
	c, err := load.Dial(ctx, g.through.target())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Deadline(time.Now().Add(5 * time.Minute)); err != nil {
		return nil, err
	}
	var o outcome
	began := time.Now()
	for o.in.Load() < verifiedLogins {
		if err := o.attempt(ctx, c, request); err != nil {
			return nil, fmt.Errorf("log in by pass-through: %w", err)
		}
	}
	took := time.Since(began).Seconds() * 1000 / verifiedLogins
	after, err := g.light.seen(ctx)
	if err != nil {
		return nil, err
	}
	return []figure.Figure{{ID: "G5", What: "logins of a pass-through user a moment later, calls upstream",
		Unit: "calls", Vigate: figure.Series{float64(after.Calls - before.Calls)}, Goal: figure.AtMost(0),
		Note: fmt.Sprintf("during %d logins, which took %s ms each", verifiedLogins, figure.Number(took))}}, nil
}

// crowdOf starts client sessions at the front of the simulator.
func (g *gate) crowdOf(ctx context.Context, n, conns int) (*crowd.Crowd, error) {
	inventory, err := crowd.Learn(ctx, g.simulated.plain, upstreamUser, upstreamUser)
	if err != nil {
		return nil, err
	}
	return crowd.Gather(ctx, crowd.Config{
		Front: g.front.target(), User: adminUser, Password: adminPassword, Inventory: inventory, Conns: conns, Seed: 1,
	}, n)
}

// firstClients is the number of client sessions before those whose memory is measured. Their calls fill what does
// not grow with their number.
//
// All together own two objects each: that is as much as the clients of one user may own.
const firstClients = 100

// sharing measures G2: many client sessions on few of the server behind.
func sharing(ctx context.Context, r *rig, g *gate) ([]figure.Figure, error) {
	c, err := g.crowdOf(ctx, firstClients, 64)
	if err != nil {
		return nil, err
	}
	kinds := append(crowd.Pages, crowd.Reads...)
	if _, err := c.Each(ctx, 5, kinds...); err != nil {
		return nil, err
	}
	empty, err := g.vigate.live(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Grow(ctx, r.Crowd-firstClients); err != nil {
		return nil, err
	}
	reads, err := c.Each(ctx, 1, kinds...)
	if err != nil {
		return nil, err
	}
	crowded, err := g.vigate.live(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Equip(ctx); err != nil {
		return nil, err
	}
	waits, err := c.Each(ctx, 1, append(crowd.Own, crowd.Reads...)...)
	if err != nil {
		return nil, err
	}
	owning, err := g.vigate.live(ctx)
	if err != nil {
		return nil, err
	}
	s, err := g.simulated.seen(ctx)
	if err != nil {
		return nil, err
	}
	n := float64(r.Crowd - firstClients)
	what := figure.Number(float64(c.Size())) + " client sessions, "
	return []figure.Figure{
		{ID: "G2", What: what + "wrong answers or errors", Unit: "calls", Goal: figure.AtMost(0),
			Vigate: figure.Series{float64(reads.Bad() + waits.Bad())}, Note: reads.String() + "; " + waits.String()},
		{ID: "G2", What: what + "sessions upstream at most", Unit: "sessions", Vigate: figure.Series{float64(s.Most)},
			Goal: figure.AtMost(maxUpstream)},
		{ID: "G2", What: what + "memory of each", Unit: "B", Vigate: figure.Series{(crowded - empty) / n},
			Goal: figure.AtMost(2048), Note: "heap after a collection"},
		{ID: "G2", What: what + "memory of each with a collector and a filter", Unit: "B",
			Vigate: figure.Series{(owning - empty) / n}, Goal: figure.AtMost(8192), Note: "heap after a collection"},
	}, r.heap(ctx, g.vigate, "g2")
}

// lossEvery is the time between two losses of all sessions of vigate's.
const lossEvery = 300 * time.Millisecond

// endAll lets a server behind end all sessions.
func (s *server) endAll(ctx context.Context) error {
	a, err := once(ctx, s.target(), wire.Post("/bench/end", "", ""))
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("end all sessions: status %d: %.300s", a.Status, a.Body)
	}
	return err
}

// losing measures G6: clients that own nothing, while the server behind ends all sessions again and again.
func losing(ctx context.Context, r *rig, g *gate) ([]figure.Figure, error) {
	c, err := g.crowdOf(ctx, firstClients, 32)
	if err != nil {
		return nil, err
	}
	loaded, cancel := context.WithTimeout(ctx, r.Losing)
	defer cancel()
	losses, ended := 0, make(chan error, 1)
	go func() {
		tick := time.NewTicker(lossEvery)
		defer tick.Stop()
		for {
			select {
			case <-loaded.Done():
				ended <- nil
				return
			case <-tick.C:
			}
			if err := g.simulated.endAll(ctx); err != nil {
				ended <- err
				return
			}
			losses++
		}
	}()
	t, err := c.Load(loaded, crowd.Reads...)
	cancel()
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	if losses == 0 {
		return nil, errors.New("the server behind has ended no session")
	}
	return []figure.Figure{{ID: "G6", What: "the upstream ends all sessions every 0.3 s, wrong answers or errors",
		Unit: "calls", Vigate: figure.Series{float64(t.Bad())}, Goal: figure.AtMost(0),
		Note: fmt.Sprintf("%d times; %s", losses, t)}}, nil
}

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/bench/etcd"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// cluster is P9 and P9b.
func cluster(ctx context.Context, r *rig) (all []figure, err error) {
	s, err := r.startSite(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.bare(ctx)
	if err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context, *rig, *site, *etcd.Bare) ([]figure, error){oneByOne, atOnce, readsAlone, endings} {
		figures, err := measure(ctx, r, s, b)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, r.stopSite(s)
}

// bare makes the transaction that a login is held against.
func (s *site) bare(ctx context.Context) (b *etcd.Bare, err error) {
	// What a node writes about itself may come between.
	for range 5 {
		if _, err := check(ctx, s.login(0), extensionLogin(), `"userName"`); err != nil {
			return nil, fmt.Errorf("log extension in: %w", err)
		}
		if b, err = s.etcd.After(ctx, "/vigate/"); err == nil {
			break
		}
	}
	return b, err
}

// oneByOne is the time of a login when nothing else goes on, beside that of the
// bare transaction: they take turns one by one.
func oneByOne(ctx context.Context, r *rig, s *site, b *etcd.Bare) ([]figure, error) {
	conns := make([]*load.Conn, siteSize)
	for i := range conns {
		c, err := load.Dial(ctx, s.login(i))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if err := c.Deadline(time.Now().Add(10 * time.Minute)); err != nil {
			return nil, err
		}
		conns[i] = c
	}
	var all []figure
	for _, k := range []struct {
		what string
		node func(i int) int
	}{{"one node", func(int) int { return 0 }}, {"the nodes by turns", func(i int) int { return i % siteSize }}} {
		var floor, own series
		for range r.Rounds {
			f, v, err := turns(ctx, r.Duration, b, func(i int) *load.Conn { return conns[k.node(i)] })
			if err != nil {
				return nil, err
			}
			floor, own = append(floor, f.median()), append(own, v.median())
		}
		all = append(all, figure{ID: "P9", What: "login on etcd c=1, " + k.what, Unit: "ms", Floor: floor, Vigate: own,
			Against: "bare", Ratio: own.over(floor), Goal: atMost(1.5), Note: "a bare transaction in the floor's column"})
	}
	if r.Profile == "" {
		return all, nil
	}
	long := *r
	long.Duration = profileTime
	return all, long.profile(ctx, s.nodes[0], "p9", func() error {
		_, _, err := turns(ctx, profileTime, b, func(int) *load.Conn { return conns[0] })
		return err
	})
}

// turns is the milliseconds that each bare transaction and each login took.
func turns(ctx context.Context, d time.Duration, b *etcd.Bare, conn func(i int) *load.Conn) (floor, own series, err error) {
	request := extensionLogin()
	for i, until := 0, time.Now().Add(d); time.Now().Before(until); i++ {
		began := time.Now()
		if err := b.Once(ctx); err != nil {
			return nil, nil, err
		}
		middle := time.Now()
		a, err := conn(i).Do(request)
		if err != nil {
			return nil, nil, err
		}
		if a.Status != http.StatusOK {
			return nil, nil, fmt.Errorf("log in: status %d", a.Status)
		}
		floor = append(floor, middle.Sub(began).Seconds()*1000)
		own = append(own, time.Since(middle).Seconds()*1000)
	}
	return floor, own, nil
}

const (
	// manyConns log in at a time, on one node or on all together: enough that the
	// transactions of each node are full, so that more of them would not make either
	// faster.
	manyConns = 192
	// fewConns keep one node busy. They are too few for three.
	fewConns = 48
)

// atOnce is P9b: the rate of many logins at a time on all nodes, beside that of as
// many on one, and that of as many bare transactions from as many clients as there
// are nodes. They take turns. Logins of one node share transactions, which bare
// ones don't.
func atOnce(ctx context.Context, r *rig, s *site, b *etcd.Bare) ([]figure, error) {
	var bare, one, all, fewOne, fewAll series
	for round := range 2*r.Rounds - 1 {
		node := s.nodes[round%siteSize:][:1]
		steps := []func() error{
			func() error {
				rate, err := b.Rate(ctx, manyConns, r.Warm, r.Duration)
				bare = append(bare, rate)
				return err
			},
			func() error { return s.loginRate(ctx, r, node, manyConns, &one) },
			func() error { return s.loginRate(ctx, r, s.nodes, manyConns, &all) },
			func() error { return s.loginRate(ctx, r, node, fewConns, &fewOne) },
			func() error { return s.loginRate(ctx, r, s.nodes, fewConns, &fewAll) },
		}
		if round%2 == 1 {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return nil, fmt.Errorf("log in at once: %w", err)
			}
		}
	}
	what := func(c int, where string) string { return fmt.Sprintf("logins on etcd c=%d, %s", c, where) }
	figures := []figure{
		{ID: "P9", What: what(manyConns, "one node"), Unit: "logins/s", Floor: bare, Vigate: one, Against: "bare",
			Ratio: one.over(bare)},
		{ID: "P9b", What: what(manyConns, "three nodes against one"), Unit: "logins/s", Floor: one, Vigate: all,
			Against: "one", Ratio: all.over(one), Goal: atLeast(0.95), Note: "one node in the floor's column"},
		{ID: "P9b", What: what(manyConns, "three nodes against bare"), Unit: "logins/s", Floor: bare, Vigate: all,
			Against: "bare", Ratio: all.over(bare), Goal: atLeast(0.6),
			Note: "bare transactions from three clients in the floor's column"},
		{ID: "P9b", What: what(fewConns, "three nodes against one"), Unit: "logins/s", Floor: fewOne, Vigate: fewAll,
			Against: "one", Ratio: fewAll.over(fewOne), Note: "one node in the floor's column; too few callers for three"},
	}
	if r.Profile == "" {
		return figures, nil
	}
	long := *r
	long.Duration = profileTime
	return figures, long.profile(ctx, s.nodes[0], "p9b", func() error {
		return s.loginRate(ctx, &long, s.nodes, manyConns, new(series))
	})
}

// loginRate adds to the series how many logins per second the nodes take together,
// from so many connections.
func (s *site) loginRate(ctx context.Context, r *rig, nodes []*server, conns int, to *series) error {
	rates, errs := make(series, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			config := load.Config{Target: s.loginAt(n), Conns: conns / len(nodes), Warm: r.Warm, Duration: r.Duration}
			res, err := load.Run(ctx, config, load.Requests(extensionLogin(), http.StatusOK))
			rates[i], errs[i] = res.Rate, err
		})
	}
	wg.Wait()
	var sum float64
	for _, rate := range rates {
		sum += rate
	}
	*to = append(*to, sum)
	return errors.Join(errs...)
}

// flushes is a time in which a node writes down its sessions' activity once at
// least.
const flushes = 2500 * time.Millisecond

// readsAlone is what reads ask of etcd: what it is asked for while nodes read,
// less what it is asked for while nothing goes on.
func readsAlone(ctx context.Context, r *rig, s *site, _ *etcd.Bare) ([]figure, error) {
	before, err := s.etcd.Requests(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(flushes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	idle, err := s.etcd.Requests(ctx)
	if err != nil {
		return nil, err
	}
	var reads atomic.Uint64
	var wg sync.WaitGroup
	errs := make([]error, siteSize)
	for i, n := range s.nodes {
		wg.Go(func() {
			res, err := load.Run(ctx, load.Config{Target: n.target(), Conns: 5, Duration: flushes}, load.Requests(readSession(s.admin), http.StatusOK))
			errs[i] = err
			reads.Add(res.Steps)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("read on all nodes: %w", err)
		}
	}
	after, err := s.etcd.Requests(ctx)
	if err != nil {
		return nil, err
	}
	more := max(0, (after-idle)-(idle-before))
	return []figure{{ID: "P9", What: "etcd's requests for 1,000 reads, besides what it is asked for idle", Vigate: series{1000 * more / float64(reads.Load())},
		Goal: atMost(1), Note: fmt.Sprintf("%s reads on %d nodes; %s requests meanwhile, %s in as long a time without reads",
			number(float64(reads.Load())), siteSize, number(after-idle), number(idle-before))}}, nil
}

// ends is how many sessions are ended to see when the other nodes know.
const ends = 500

// endings is how long after the answer to a logout the last of the other nodes
// still serves the session.
func endings(ctx context.Context, r *rig, s *site, _ *etcd.Bare) ([]figure, error) {
	conns := make([]*load.Conn, siteSize)
	for i, n := range s.nodes {
		c, err := load.Dial(ctx, n.target())
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if err := c.Deadline(time.Now().Add(10 * time.Minute)); err != nil {
			return nil, err
		}
		c.Keep = true
		conns[i] = c
	}
	tokens, err := s.tokens(ctx, ends)
	if err != nil {
		return nil, err
	}
	var took series
	for i, token := range tokens {
		d, err := end(conns, i%siteSize, token)
		if err != nil {
			return nil, err
		}
		took = append(took, d.Seconds()*1000)
	}
	slices.Sort(took)
	p99 := took[(len(took)*99+99)/100-1]
	return []figure{{ID: "P9", What: fmt.Sprintf("an ended session is dead on every node, p99 of %d", ends), Unit: "ms", Vigate: series{p99}, Goal: atMost(100),
		Note: fmt.Sprintf("after the answer to the logout; median %s, at most %s", number(took.median()), number(took[len(took)-1]))}}, nil
}

// tokens begins sessions on all nodes.
func (s *site) tokens(ctx context.Context, n int) ([]string, error) {
	const callers = 24
	all := make([]string, n)
	errs := make([]error, callers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			c, err := load.Dial(ctx, s.login(w))
			if err != nil {
				errs[w] = err
				return
			}
			defer c.Close()
			for i := next.Add(1) - 1; i < int64(n) && errs[w] == nil; i = next.Add(1) - 1 {
				var a load.Answer
				if a, errs[w] = c.Do(extensionLogin()); errs[w] == nil && a.Status != http.StatusOK {
					errs[w] = fmt.Errorf("log in: status %d", a.Status)
				}
				all[i] = string(a.Token)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// end logs the session out on one node, once all serve it.
func end(conns []*load.Conn, on int, token string) (time.Duration, error) {
	read := readSession(token)
	for _, c := range conns {
		if a, err := c.Do(read); err != nil {
			return 0, err
		} else if a.Status != http.StatusOK {
			return 0, fmt.Errorf("a new session is not served: status %d: %.200s", a.Status, a.Body)
		}
	}
	if a, err := conns[on].Do(wire.Post(wire.SessionManager+"Logout", token, "")); err != nil {
		return 0, err
	} else if a.Status/100 != 2 {
		return 0, fmt.Errorf("log out: status %d: %.200s", a.Status, a.Body)
	}
	acknowledged := time.Now()
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			for {
				a, err := c.Do(read)
				switch {
				case err != nil:
					errs[i] = err
					return
				case a.Status == http.StatusNoContent, // there is no current session
					a.Status == http.StatusInternalServerError && bytes.Contains(a.Body, []byte(`"NotAuthenticated"`)):
					return
				case a.Status != http.StatusOK:
					errs[i] = fmt.Errorf("read an ended session: status %d: %.200s", a.Status, a.Body)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(acknowledged)
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return took, nil
}

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
	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// cluster measures P9 and P9b.
func cluster(ctx context.Context, r *rig) (all []figure.Figure, err error) {
	s, err := r.startSite(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.bare(ctx)
	if err != nil {
		return nil, err
	}
	for _, measure := range []func(context.Context, *rig, *site, *etcd.Bare) ([]figure.Figure, error){oneByOne, atOnce,
		readsAlone, endings} {
		figures, err := measure(ctx, r, s, b)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, r.stopSite(s)
}

// bare returns the transaction with which a login is compared.
func (s *site) bare(ctx context.Context) (b *etcd.Bare, err error) {
	// A node's record about itself may be written between the login and the read, so there are
	// retries.
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

// oneByOne compares the time of a login on an idle cluster with that of the bare transaction. Both
// alternate.
func oneByOne(ctx context.Context, r *rig, s *site, b *etcd.Bare) ([]figure.Figure, error) {
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
	var all []figure.Figure
	for _, k := range []struct {
		what string
		node func(i int) int
	}{{"one node", func(int) int { return 0 }}, {"the nodes by turns", func(i int) int { return i % siteSize }}} {
		var floor, own figure.Series
		for range r.Rounds {
			f, v, err := turns(ctx, r.Duration, b, func(i int) *load.Conn { return conns[k.node(i)] })
			if err != nil {
				return nil, err
			}
			floor, own = append(floor, f.Median()), append(own, v.Median())
		}
		all = append(all, figure.Figure{ID: "P9", What: "login on etcd c=1, " + k.what, Unit: "ms",
			Floor: floor, Vigate: own,
			Against: "bare", Ratio: own.Over(floor), Goal: figure.AtMost(
				1.5), Note: "a bare transaction in the floor's column"})
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

// turns returns the times of the bare transactions and of the logins in milliseconds.
func turns(
	ctx context.Context, d time.Duration, b *etcd.Bare, conn func(i int) *load.Conn,
) (floor, own figure.Series, err error) {
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
	// manyConns is the number of concurrent logins, on one node or on all nodes together. It is
	// enough to fill the transactions of each node, so that more logins would not increase the
	// rate.
	manyConns = 192
	// fewConns is enough to keep one node busy, but not three.
	fewConns = 48
)

// atOnce measures P9b. It compares the rate of many concurrent logins on all nodes with the rate of
// as many logins on one node, and with the rate of as many bare transactions from one client per
// node. They are measured in turns. Logins on one node share transactions, but bare transactions
// don't.
func atOnce(ctx context.Context, r *rig, s *site, b *etcd.Bare) ([]figure.Figure, error) {
	var bare, one, all, fewOne, fewAll figure.Series
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
	figures := []figure.Figure{
		{ID: "P9", What: what(manyConns, "one node"), Unit: "logins/s", Floor: bare, Vigate: one, Against: "bare",
			Ratio: one.Over(bare)},
		{ID: "P9b", What: what(manyConns, "three nodes against one"), Unit: "logins/s", Floor: one, Vigate: all,
			Against: "one", Ratio: all.Over(one), Goal: figure.AtLeast(0.95), Note: "one node in the floor's column"},
		{ID: "P9b", What: what(manyConns, "three nodes against bare"), Unit: "logins/s", Floor: bare, Vigate: all,
			Against: "bare", Ratio: all.Over(bare), Goal: figure.AtLeast(0.6),
			Note: "bare transactions from three clients in the floor's column"},
		{ID: "P9b", What: what(fewConns, "three nodes against one"), Unit: "logins/s", Floor: fewOne, Vigate: fewAll,
			Against: "one", Ratio: fewAll.Over(fewOne),
			Note: "one node in the floor's column; too few callers for three"},
	}
	if r.Profile == "" {
		return figures, nil
	}
	long := *r
	long.Duration = profileTime
	return figures, long.profile(ctx, s.nodes[0], "p9b", func() error {
		return s.loginRate(ctx, &long, s.nodes, manyConns, new(figure.Series))
	})
}

// loginRate adds to the series the logins per second on all nodes together, with the given number
// of connections.
func (s *site) loginRate(ctx context.Context, r *rig, nodes []*server, conns int, to *figure.Series) error {
	rates, errs := make(figure.Series, len(nodes)), make([]error, len(nodes))
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

// flushes is a time in which each node writes its sessions' activity at least once.
const flushes = 2500 * time.Millisecond

// readsAlone measures the requests to etcd that reads cause: the number of requests while the nodes
// serve reads, minus the number on an idle cluster.
func readsAlone(ctx context.Context, r *rig, s *site, _ *etcd.Bare) ([]figure.Figure, error) {
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
			res, err := load.Run(ctx, load.Config{Target: n.target(), Conns: 5, Duration: flushes},
				load.Requests(readSession(s.admin), http.StatusOK))
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
	return []figure.Figure{{ID: "P9", What: "etcd's requests for 1,000 reads, besides what it is asked for idle",
		Vigate: figure.Series{1000 * more / float64(reads.Load())},
		Goal:   figure.AtMost(1), Note: fmt.Sprintf(
			"%s reads on %d nodes; %s requests meanwhile, %s in as long a time without reads",
			figure.Number(float64(reads.Load())), siteSize, figure.Number(after-idle),
			figure.Number(idle-before))}}, nil
}

// ends is the number of sessions that endings ends.
const ends = 500

// endings measures the time from the response to a logout until the last of the other nodes refuses
// the session.
func endings(ctx context.Context, r *rig, s *site, _ *etcd.Bare) ([]figure.Figure, error) {
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
	var took figure.Series
	for i, token := range tokens {
		d, err := end(conns, i%siteSize, token)
		if err != nil {
			return nil, err
		}
		took = append(took, d.Seconds()*1000)
	}
	slices.Sort(took)
	p99 := took[(len(took)*99+99)/100-1]
	return []figure.Figure{{ID: "P9", What: fmt.Sprintf("an ended session is dead on every node, p99 of %d", ends),
		Unit: "ms", Vigate: figure.Series{p99}, Goal: figure.AtMost(100),
		Note: fmt.Sprintf("after the answer to the logout; median %s, at most %s", figure.Number(took.Median()),
			figure.Number(took[len(took)-1]))}}, nil
}

// tokens creates sessions on all nodes and returns their tokens.
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

// end ends the session on one node after all nodes have served it.
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

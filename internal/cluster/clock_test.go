package cluster

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// timed is a node with a clock of its own.
type timed struct {
	*Cluster
	off time.Duration // how far its clock is off
}

// clocks are nodes that share a store. They all began at the same time.
type clocks struct {
	*site
	steady  atomic.Int64 // time.Duration. Views read it when they receive a report
	servers []*timed
}

func newClocks(t *testing.T, offs ...time.Duration) *clocks {
	c := &clocks{site: newSite(t)}
	for i, off := range offs {
		c.servers = append(c.servers, c.timed(fmt.Sprint("n", i), off))
	}
	return c
}

func (c *clocks) timed(name string, off time.Duration) *timed {
	s := &timed{off: off}
	s.Cluster = c.server(Options{
		Name:   name,
		Now:    func() time.Time { return c.now.Add(s.off) },
		Steady: func() time.Duration { return time.Duration(c.steady.Load()) },
	})
	return s
}

// report makes each node report.
func (c *clocks) report() {
	c.t.Helper()
	for _, s := range c.servers {
		c.must(s.Report(c.t.Context()))
	}
	for _, s := range c.servers {
		c.must(s.mirror.Sync(c.t.Context()))
	}
}

// pass advances the time. Each node reports every ReportEvery.
func (c *clocks) pass(d time.Duration) {
	c.t.Helper()
	for end := c.steady.Load() + int64(d); c.steady.Load() < end; {
		c.steady.Add(int64(ReportEvery))
		c.now = c.now.Add(ReportEvery)
		c.report()
	}
}

// says checks for each node in turn whether it serves calls (s) and may remove expired records (e),
// or neither (-).
func (c *clocks) says(want ...string) {
	c.t.Helper()
	for i, s := range c.servers {
		got := ""
		if err := s.Clock(); err == nil {
			got += "s"
		} else if !errors.Is(err, store.ErrUnavailable) {
			c.t.Errorf("server %d: %v is not store.ErrUnavailable", i, err)
		}
		if s.MayExpire() {
			got += "e"
		}
		if got == "" {
			got = "-"
		}
		if got != want[i] {
			c.t.Errorf("server %d does %q, want %q", i, got, want[i])
		}
	}
}

func TestAServerWhoseClockMostOthersContradictServesNobody(t *testing.T) {
	for name, x := range map[string]struct {
		offs []time.Duration
		want []string
	}{
		"alone":             {[]time.Duration{time.Hour}, []string{"se"}},
		"all agree":         {[]time.Duration{0, 4 * time.Second, -5 * time.Second}, []string{"se", "se", "se"}},
		"one is ahead":      {[]time.Duration{0, time.Hour, 0}, []string{"se", "-", "se"}},
		"one is behind":     {[]time.Duration{-time.Hour, 0, 0}, []string{"-", "se", "se"}},
		"all disagree":      {[]time.Duration{-time.Hour, 0, time.Hour}, []string{"-", "-", "-"}},
		"two, of whom one":  {[]time.Duration{0, time.Hour}, []string{"s", "s"}},
		"four, of whom two": {[]time.Duration{0, 0, time.Hour, time.Hour}, []string{"s", "s", "s", "s"}},
		"five, of whom two": {[]time.Duration{0, 0, 0, time.Hour, -time.Hour}, []string{"se", "se", "se", "-", "-"}},
		"a little too much": {[]time.Duration{0, MaxSkew + time.Second, 0}, []string{"se", "-", "se"}},
		"as much as may be": {[]time.Duration{0, MaxSkew, 0}, []string{"se", "se", "se"}},
		"both ends of it": {
			[]time.Duration{-MaxSkew + time.Second, 0, MaxSkew - time.Second}, []string{"se", "se", "se"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocks(t, x.offs...)
			c.pass(settled + ReportEvery)
			c.says(x.want...)
		})
	}
}

func TestAJumpOfAServersOwnClockIsSeenAtOnce(t *testing.T) {
	c := newClocks(t, 0, 0, 0)
	c.pass(settled + ReportEvery)
	c.servers[1].off = time.Hour
	c.says("se", "-", "se")
	c.servers[1].off = -time.Hour
	c.says("se", "-", "se")
	c.servers[1].off = 0
	c.says("se", "se", "se")
}

func TestAMachineThatStoodStillServesWhenItHasHeardFromOthers(t *testing.T) {
	c := newClocks(t, 0, 0, 0)
	c.pass(settled + ReportEvery)
	c.now = c.now.Add(time.Hour) // the steady clocks stood still
	c.says("-", "-", "-")
	c.pass(ReportEvery)
	c.says("se", "se", "se")
}

func TestAServerEndsNothingForOthersBeforeItHasHeardFromThem(t *testing.T) {
	c := newClocks(t, 0, 0, time.Hour)
	c.says("s", "s", "s")
	c.pass(settled)
	c.says("s", "s", "-")
	c.pass(ReportEvery)
	c.says("se", "se", "-")
}

func TestTheDeadHaveNoSay(t *testing.T) {
	c := newClocks(t, 0, time.Hour, time.Hour)
	c.pass(settled + ReportEvery)
	c.says("-", "se", "se")
	c.servers = c.servers[:2]
	c.pass(lifetime + ReportEvery)
	c.says("s", "s") // one against one
	c.servers = c.servers[:1]
	c.pass(lifetime + ReportEvery)
	c.says("se")
}

func TestAServerThatStartsAgainAndAgainHasOneSay(t *testing.T) {
	c := newClocks(t, 0, 0, 0)
	c.pass(settled + ReportEvery)
	for range 5 {
		c.servers[2] = c.timed("n2", time.Hour)
		c.report()
	}
	c.says("se", "se", "-")
}

func TestARecordThatIsSweptSinceItsClockWasBehindStillHasItsSay(t *testing.T) {
	c := newClocks(t, 0, 0, -time.Hour)
	c.pass(settled + ReportEvery)
	if n, err := c.store.Sweep(t.Context(), 10, store.Node); n != 1 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	c.says("se", "se", "-")
}

func TestAReportThatWasLongOnItsWayDoesNotMakeAClockWrong(t *testing.T) {
	v := heard{}
	v = v.next(time.Unix(1000, 0), 0)
	v = v.next(time.Unix(1005, 0), 20*time.Second) // 15 s late
	if want := time.Unix(1000, 0); !v.zero.Equal(want) {
		t.Errorf("the clock was at %v, want %v", v.zero, want)
	}
	v = v.next(time.Unix(1025, 0), 25*time.Second)
	v = v.next(time.Unix(900, 0), 30*time.Second) // it was set back
	if want := time.Unix(870, 0); !v.zero.Equal(want) {
		t.Errorf("the clock was at %v, want %v", v.zero, want)
	}
}

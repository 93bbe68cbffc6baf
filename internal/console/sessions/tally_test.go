package sessions

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/vmware/govmomi/vim25/types"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// random returns sessions of a few users with a few clients, in the order of their logins.
func random(n int) []types.UserSession {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]types.UserSession, n)
	for i := range all {
		user := r.IntN(1 + n/20)
		login := now.Add(time.Duration(i-n) * time.Second)
		all[i] = types.UserSession{
			Key:      fmt.Sprintf("%08x-0000-4000-8000-000000000000", r.Uint32()),
			UserName: fmt.Sprintf(`CORP\User%d`, user),
			FullName: fmt.Sprintf("The User %d", user), LoginTime: login,
			LastActiveTime: login.Add(time.Duration(r.Int64N(int64(now.Sub(login)) + 1))),
			IpAddress:      fmt.Sprintf("192.0.2.%d", r.IntN(200)), UserAgent: fmt.Sprintf("client/%d", r.IntN(9)),
			CallCount: r.Int64N(50),
		}
	}
	return all
}

func tallyOf(q query, all []types.UserSession) *listing {
	t := newTally(q, now, 30*time.Minute)
	for i := range all {
		t.add(&all[i])
	}
	return t.listing()
}

func TestTheRowsOfAPageAreThoseOfTheWholeSortedList(t *testing.T) {
	t.Parallel()
	all := random(3000)
	for _, column := range columns {
		for _, q := range []query{
			{Sort: column, Page: 1, Rows: 50}, {Sort: column, Down: true, Page: 7, Rows: 25},
			{Sort: column, Text: "USER 1", Page: 2, Rows: 25},
			{Sort: column, Down: true, Idle: 10 * time.Minute, Page: 1, Rows: 500},
		} {
			l := tallyOf(q, all)
			var want []row
			for _, s := range all {
				idle := now.Sub(s.LastActiveTime)
				if idle >= q.Idle && strings.Contains(strings.ToLower(s.FullName), strings.ToLower(q.Text)) {
					want = append(want, row{UserSession: s, Idle: idle})
				}
			}
			slices.SortStableFunc(want, func(a, b row) int {
				c := cmp.Or(compareBy(column, &a, &b), a.LoginTime.Compare(b.LoginTime), cmp.Compare(a.Key, b.Key))
				if q.Down {
					return -c
				}
				return c
			})
			if l.Found != len(want) || l.All != len(all) {
				t.Errorf("%+v: %d of %d, want %d", q, l.Found, l.All, len(want))
			}
			want = want[min(len(want), (q.Page-1)*q.Rows):min(len(want), q.Page*q.Rows)]
			if !slices.EqualFunc(l.Rows, want, func(a, b row) bool { return a.Key == b.Key }) {
				t.Errorf("%+v: other rows", q)
			}
		}
	}
}

func compareBy(column string, a, b *row) int {
	switch column {
	case "user":
		return cmp.Compare(a.UserName, b.UserName)
	case "name":
		return cmp.Compare(a.FullName, b.FullName)
	case "idle":
		return cmp.Compare(a.Idle, b.Idle)
	case "address":
		return cmp.Compare(a.IpAddress, b.IpAddress)
	case "client":
		return cmp.Compare(a.UserAgent, b.UserAgent)
	case "calls":
		return cmp.Compare(a.CallCount, b.CallCount)
	}
	return 0
}

func TestGroupsAndIdleTimesCountEachSessionOnce(t *testing.T) {
	t.Parallel()
	all := random(3000)
	for _, holder := range holders {
		l := tallyOf(query{Sort: "since", Group: holder, Page: 1, Rows: 25}, all)
		sessions, bars := 0, 0
		for i, g := range l.Groups {
			sessions += g.Sessions
			if i > 0 && g.Sessions > l.Groups[i-1].Sessions {
				t.Errorf("%s: the groups are not sorted", holder)
			}
		}
		for _, n := range l.Idle {
			bars += n
		}
		if bars != len(all) || l.MoreGroups <= 0 && sessions != len(all) || len(l.Groups) > maxGroups {
			t.Errorf("%s: %d sessions in %d groups and %d more, %d in bars", holder, sessions, len(l.Groups),
				l.MoreGroups, bars)
		}
	}
}

func TestAQueryIsTheSameAfterItsURL(t *testing.T) {
	t.Parallel()
	for _, q := range []query{
		{Sort: "since", Down: true, Page: 1, Rows: defaultRows},
		{Text: "a b&c", User: `CORP\a`, Client: "x/1 (y; z)", Address: "::1", Way: "password", Idle: 90 * time.Minute,
			Sort: "calls", Group: "client", Page: 3, Rows: 25},
	} {
		if got := parse(q.values()); got != q {
			t.Errorf("%+v becomes %+v", q, got)
		}
	}
}

// The first page of 100,000 sessions takes some 30 ms of one processor, in any order.
func BenchmarkFirstPage(b *testing.B) {
	all := random(100_000)
	for _, q := range []query{
		{Sort: "since", Down: true, Page: 1, Rows: 50}, {Sort: "user", Page: 1, Rows: 50, Group: "user"},
		{Sort: "idle", Down: true, Page: 1, Rows: 50, Text: "user 1"},
	} {
		b.Run(q.Order()+q.Group+q.Text, func(b *testing.B) {
			for b.Loop() {
				tallyOf(q, all)
			}
		})
	}
}

// What is kept for other callers must be small, whatever was gathered to find it.
func TestAListingKeepsNothingButItself(t *testing.T) {
	t.Parallel()
	find := func() (*listing, weak.Pointer[tally]) {
		all := newTally(query{Sort: "since", Group: "user", Text: "user", Page: 20, Rows: 500}, now, time.Hour)
		for _, s := range random(3000) {
			all.add(&s)
		}
		return all.listing(), weak.Make(all)
	}
	l, gathered := find()
	runtime.GC()
	if gathered.Value() != nil {
		t.Error("the listing keeps what was gathered")
	}
	if l.Found == 0 || len(l.Rows) == 0 {
		t.Errorf("the listing is %+v", l)
	}
}

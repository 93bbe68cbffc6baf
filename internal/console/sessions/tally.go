package sessions

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// row is a session of the page.
type row struct {
	types.UserSession
	Way, Account string
	Idle         time.Duration

	text   string // by which it is sorted, if the column is a text
	number int64  // likewise, if it is a number
}

// group are the sessions of one holder.
type group struct {
	Name     string
	Sessions int
	Longest  time.Duration // of the times without a call
	Calls    int64
}

// parts is the number of bars of the distribution of idle times.
const parts = 10

// maxRows is how many sessions the pages of a query show together. Nobody turns more pages.
const maxRows = 10_000

// maxGroups is how many groups a page shows.
const maxGroups = 100

// listing is what a query has found. Nobody changes it.
type listing struct {
	At         time.Time
	All, Found int // sessions in all, and those that fit the query
	Users      int // of those found
	Rows       []row
	Page, Last int
	Groups     []group
	MoreGroups int // that are not shown
	Idle       [parts]int
	IdleLimit  time.Duration

	query query
}

// tally goes through the list once. It keeps the rows of one page only.
type tally struct {
	q      query               // with the texts for exact comparisons in lower case
	needle string              // lower case
	ways   map[string]string   // by key; nil if they are not needed
	folds  map[string]string   // texts in lower case
	users  map[string]struct{} // names as they are shown
	groups map[string]*group
	top    top
	found  listing
}

func newTally(q query, now time.Time, idleLimit time.Duration) *tally {
	t := &tally{
		q: q, needle: strings.ToLower(q.Text), folds: map[string]string{}, users: map[string]struct{}{},
		groups: map[string]*group{}, top: top{most: min(q.Page*q.Rows, maxRows), down: q.Down},
		found: listing{At: now, IdleLimit: max(1, idleLimit), Page: q.Page, query: q},
	}
	t.q.User, t.q.Client = strings.ToLower(q.User), strings.ToLower(q.Client)
	return t
}

// maxFolds bounds what fold keeps. Many sessions have the same user and client.
const maxFolds = 10_000

// fold returns a text in lower case.
func (t *tally) fold(s string) string {
	if f, ok := t.folds[s]; ok {
		return f
	}
	f := strings.ToLower(s)
	if len(t.folds) < maxFolds {
		t.folds[s] = f
	}
	return f
}

// idle returns how long a session has not been used.
func (t *tally) idle(s *types.UserSession) time.Duration {
	return max(0, t.found.At.Sub(s.LastActiveTime))
}

// fits reports whether a session fits the query.
func (t *tally) fits(s *types.UserSession) bool {
	q, way := &t.q, t.ways[s.Key]
	switch {
	case q.Idle > 0 && t.idle(s) < q.Idle, q.Address != "" && s.IpAddress != q.Address, q.Way != "" && way != q.Way,
		q.User != "" && t.fold(s.UserName) != q.User, q.Client != "" && t.fold(s.UserAgent) != q.Client:
		return false
	case t.needle == "":
		return true
	}
	return strings.Contains(t.fold(s.UserName), t.needle) || strings.Contains(t.fold(s.FullName), t.needle) ||
		strings.Contains(t.fold(s.UserAgent), t.needle) || strings.Contains(s.IpAddress, t.needle) ||
		strings.Contains(way, t.needle) || strings.HasPrefix(s.Key, t.needle)
}

// add looks at one session.
func (t *tally) add(s *types.UserSession) {
	t.found.All++
	if !t.fits(s) {
		return
	}
	t.found.Found++
	if _, known := t.users[s.UserName]; !known {
		t.users[s.UserName] = struct{}{}
	}
	idle := t.idle(s)
	t.found.Idle[min(parts-1, int64(idle)*parts/int64(t.found.IdleLimit))]++
	t.count(s, idle)
	r := row{UserSession: *s, Way: t.ways[s.Key], Idle: idle}
	t.order(&r)
	t.top.add(&r)
}

// count adds a session to its group.
func (t *tally) count(s *types.UserSession, idle time.Duration) {
	var name string
	switch t.q.Group {
	case "":
		return
	case "user":
		name = s.UserName
	case "client":
		name = s.UserAgent
	case "address":
		name = s.IpAddress
	default:
		name = t.ways[s.Key]
	}
	key := t.fold(name)
	g := t.groups[key]
	if g == nil {
		g = &group{Name: name}
		t.groups[key] = g
	}
	g.Sessions++
	g.Calls += s.CallCount
	g.Longest = max(g.Longest, idle)
}

// order sets the value that the row is sorted by.
func (t *tally) order(r *row) {
	switch t.q.Sort {
	case "user":
		r.text = t.fold(r.UserName)
	case "name":
		r.text = t.fold(r.FullName)
	case "client":
		r.text = t.fold(r.UserAgent)
	case "address":
		r.text = r.IpAddress
	case "way":
		r.text = r.Way
	case "idle":
		r.number = int64(r.Idle)
	case "calls":
		r.number = r.CallCount
	default:
		r.number = r.LoginTime.UnixNano()
	}
}

// listing returns what was found. A page beyond the last one is the last one.
func (t *tally) listing() *listing {
	// The listing is kept for other callers. A pointer into t would keep all that t has gathered as well.
	found := t.found
	l := &found
	different := map[string]struct{}{}
	for name := range t.users {
		different[strings.ToLower(name)] = struct{}{}
	}
	l.Users = len(different)
	l.Last = max(1, (min(l.Found, maxRows)+t.q.Rows-1)/t.q.Rows)
	l.Page = min(l.Page, l.Last)
	all := t.top.sorted()
	for _, r := range all[min(len(all), (l.Page-1)*t.q.Rows):min(len(all), l.Page*t.q.Rows)] {
		l.Rows = append(l.Rows, *r)
	}
	for _, g := range t.groups {
		l.Groups = append(l.Groups, *g)
	}
	slices.SortFunc(l.Groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	if l.MoreGroups = len(l.Groups) - maxGroups; l.MoreGroups > 0 {
		l.Groups = slices.Clone(l.Groups[:maxGroups])
	}
	return l
}

// top keeps the first rows in an order. It is a heap whose root is the last of them.
type top struct {
	most int
	down bool
	rows []*row
}

// compare compares two rows in the order.
func (t *top) compare(a, b *row) int {
	c := cmp.Compare(a.number, b.number)
	if c == 0 {
		c = cmp.Compare(a.text, b.text)
	}
	if c == 0 {
		c = a.LoginTime.Compare(b.LoginTime)
	}
	if c == 0 {
		c = cmp.Compare(a.Key, b.Key)
	}
	if t.down {
		return -c
	}
	return c
}

// add keeps a copy of the row if it is one of the first.
func (t *top) add(r *row) {
	switch {
	case len(t.rows) < t.most:
		t.rows = append(t.rows, new(*r))
		for i := len(t.rows) - 1; i > 0; {
			up := (i - 1) / 2
			if t.compare(t.rows[i], t.rows[up]) <= 0 {
				break
			}
			t.rows[i], t.rows[up] = t.rows[up], t.rows[i]
			i = up
		}
	case t.compare(r, t.rows[0]) < 0:
		*t.rows[0] = *r
		t.sink()
	}
}

// sink moves the root down to its place.
func (t *top) sink() {
	rows := t.rows
	for i := 0; ; {
		last := 2*i + 1
		if last >= len(rows) {
			return
		}
		if right := last + 1; right < len(rows) && t.compare(rows[right], rows[last]) > 0 {
			last = right
		}
		if t.compare(rows[i], rows[last]) >= 0 {
			return
		}
		rows[i], rows[last] = rows[last], rows[i]
		i = last
	}
}

func (t *top) sorted() []*row {
	slices.SortFunc(t.rows, t.compare)
	return t.rows
}

package sessions

import (
	"time"

	"github.com/vigate/vigate/internal/console/page"
)

// head is the head of a column.
type head struct {
	Column, Key string // Key is that of its text
	Path        string // of the page in the order of the column; empty: it has none
	Direction   string // as ARIA names it; empty: the list has another order
	Number      bool
}

// Heads returns the heads of the columns.
func (b *body) Heads() []head {
	q := b.Query
	var all []head
	for _, h := range []head{
		{Column: "user", Key: "console.user"}, {Column: "name", Key: "console.fullname"},
		{Column: "since", Key: "console.since"}, {Column: "idle", Key: "console.idle", Number: true},
		{Column: "address", Key: "console.address"}, {Column: "client", Key: "console.client"},
		{Column: "calls", Key: "console.calls", Number: true}, {Column: "way", Key: "console.way"},
		{Key: "console.account"},
	} {
		if h.Column == "" {
			if b.Front {
				all = append(all, h)
			}
			continue
		}
		h.Path, h.Direction = q.By(h.Column), q.Direction(h.Column)
		all = append(all, h)
	}
	return all
}

// The size of a picture.
const (
	pictureWidth  = 240
	pictureHeight = 48
)

// bar is a bar of a picture.
type bar struct {
	X, Y, Width, Height int
	Label               string
}

// Bars returns the distribution of the idle times, in tenths of the time after which a session ends.
func (l *listing) Bars() []bar {
	most := 1
	for _, n := range l.Idle {
		most = max(most, n)
	}
	all := make([]bar, parts)
	const width = pictureWidth / parts
	for i, n := range l.Idle {
		height := n * pictureHeight / most
		if n > 0 {
			height = max(height, 1)
		}
		from, to := l.IdleLimit/parts*time.Duration(i), l.IdleLimit/parts*time.Duration(i+1)
		all[i] = bar{
			X: i*width + 1, Y: pictureHeight - height, Width: width - 2, Height: height,
			Label: page.Span(from) + " – " + page.Span(to) + ": " + page.Count(n),
		}
	}
	return all
}

// share is a part of a limit.
type share struct {
	Of, Most int
	Percent  int
	Width    int // of its bar in a picture
}

func shareOf(n, most int) *share {
	if most <= 0 {
		return nil
	}
	return &share{n, most, n * 100 / most, min(pictureWidth, n*pictureWidth/most)}
}

// Share returns how many sessions there are of those that there may be, or nil if that is not known.
func (b *body) Share() *share {
	if b.Limits == nil {
		return nil
	}
	return shareOf(int(b.Limits.SessionCount), int(b.Limits.MaxSessions))
}

// UserShare returns how many sessions a user has of those that one may have, or nil if that is not known.
func (b *body) UserShare(g group) *share {
	if b.Limits == nil || b.Query.Group != "user" {
		return nil
	}
	return shareOf(g.Sessions, int(b.Limits.MaxSessionsPerUser))
}

// First returns the number of the first row of the page, counted from 1, and Until that of the last one.
func (l *listing) First() int { return min(l.Found, (l.Page-1)*l.query.Rows+1) }

// Until returns the number of the last row of the page.
func (l *listing) Until() int { return l.First() + max(0, len(l.Rows)-1) }

// Before and After return the paths of the pages beside this one, or "".
func (l *listing) Before() string { return l.turn(l.Page - 1) }

// After is Before for the next page.
func (l *listing) After() string { return l.turn(l.Page + 1) }

func (l *listing) turn(to int) string {
	if to < 1 || to > l.Last {
		return ""
	}
	return l.query.Turn(to)
}

// Capped reports whether there are more sessions than the pages show.
func (l *listing) Capped() bool { return l.Found > maxRows }

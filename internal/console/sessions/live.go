package sessions

import (
	"bytes"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/console"
)

// defaultPace is short enough to see a session come and go, and long enough for eyes.
const defaultPace = 700 * time.Millisecond

// events is the stream of a page: the list, again after each change.
func (s *section) events(x *console.Request) error {
	q := parse(x.Form)
	return x.Follow(s.pace, []console.Row{listRow}, func() ([]byte, error) {
		b, err := s.body(x, q)
		if err != nil {
			return nil, err
		}
		return b.part(x)
	})
}

// part returns the HTML of the list, without the page around it. Most callers share it.
func (b *body) part(x *console.Request) ([]byte, error) {
	l := look{language: x.Language(), front: x.Front(), mayEnd: b.MayEnd, limits: b.Limits != nil}
	if own := x.Own().Key; slices.ContainsFunc(b.List.Rows, func(r row) bool { return r.Key == own }) {
		l.own = own
	}
	return b.entry.html(l, func() ([]byte, error) {
		var out bytes.Buffer
		err := x.Part(&out, "list", b)
		return out.Bytes(), err
	})
}

package sessions

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
)

// sampleRows is how many sessions a confirmation shows.
const sampleRows = 20

// order says which sessions to end: those with the keys, or all that fit a query and were there when the user looked.
type order struct {
	all    bool
	query  query // that the page had, also if the sessions were chosen by their keys
	asked  time.Time
	keys   map[string]bool
	count  int // that the user has confirmed
	agreed bool
}

var errOrder = errors.New("the form does not say which sessions to end")

// readOrder reads the order of a form.
func readOrder(x *console.Request) (*order, error) {
	f := x.Form
	o := &order{all: f.Get("scope") == "all", asked: x.Now(), agreed: f.Has("yes"), keys: map[string]bool{}}
	if o.agreed {
		at, err := strconv.ParseInt(f.Get("asked"), 10, 64)
		count, errCount := strconv.Atoi(f.Get("count"))
		if err := errors.Join(err, errCount); err != nil {
			return nil, err
		}
		o.asked, o.count = time.Unix(0, at), count
	}
	if !o.all {
		for _, key := range f["key"] {
			o.keys[key] = true
		}
	}
	v, err := url.ParseQuery(f.Get("filter"))
	o.query = parse(v)
	return o, err
}

// chosen are the sessions of an order.
type chosen struct {
	*order
	Keys   []string
	Users  int
	Rows   []row
	Spared bool // the caller's own session, which is not among them
	Filter string
	Asked  int64
}

// choose finds the sessions of the order that are there now.
func (o *order) choose(x *console.Request) (*chosen, error) {
	all, err := console.Open[types.UserSession](x, managerType, "sessionList")
	if err != nil {
		return nil, err
	}
	q := o.query
	if !o.all {
		q = parse(nil)
	}
	q.Page, q.Rows, q.Group = 1, sampleRows, ""
	t := newTally(q, x.Now(), time.Hour)
	if q.needsWays() {
		if t.ways, err = ways(x, nil); err != nil {
			return nil, err
		}
	}
	c := &chosen{order: o, Filter: o.query.Encode(), Asked: o.asked.UnixNano()}
	for s := range all {
		switch {
		case !o.all && !o.keys[s.Key], o.all && (s.LoginTime.After(o.asked) || !t.fits(&s)):
		case s.Key == x.Own().Key:
			c.Spared = true
		default:
			c.Keys = append(c.Keys, s.Key)
			t.add(&s)
		}
	}
	l := t.listing()
	c.Users, c.Rows = l.Users, l.Rows
	return c, nil
}

// All reports whether the order is for all sessions of a query.
func (c *chosen) All() bool { return c.all }

// Back returns the address of the page from which the order came.
func (c *chosen) Back() string { return path + "?" + c.Filter }

// Count returns how many sessions would be ended.
func (c *chosen) Count() int { return len(c.Keys) }

// More returns how many sessions the confirmation does not show.
func (c *chosen) More() int { return len(c.Keys) - len(c.Rows) }

// Grown reports whether there are more than the user has confirmed.
func (c *chosen) Grown() bool { return c.agreed && len(c.Keys) > c.count }

// end asks whether sessions may be ended, and ends them after the answer.
func (s *section) end(x *console.Request) error {
	if err := x.Check(endRow); err != nil {
		return err
	}
	o, err := readOrder(x)
	if err != nil {
		return x.Bad(errors.Join(errOrder, err))
	}
	c, err := o.choose(x)
	if err != nil {
		return err
	}
	// Of a filter by idle time, more sessions may fit after a while.
	if !o.agreed || c.Grown() {
		return x.Page("confirm", x.Text("console.end"), c)
	}
	g := x.Gradually(x.Text("console.end"))
	g.Part("ending", c)
	e := &ender{x: x}
	// Those that were chosen and have ended in the meantime are not tried.
	e.result.Gone = max(0, o.count-len(c.Keys))
	e.run(c.Keys, func(r result) { g.Part("progress", r) })
	g.Part("ended", e.result)
	g.End()
	return nil
}

// Package sessions is the section of the console that shows the sessions of a server and ends them: who holds them,
// since when, for how long unused, from where and with which client.
//
// The list is filtered, sorted and grouped in one pass over the sequence that the property sessionList of
// SessionManager yields; only the rows of the page are kept. A result is kept until the list changes, at most for a
// second. So a thousand browsers that watch the same list cost as much as one. A watching browser waits for the
// signal of the property's next change, as a wait of the property collector does; it does not poll. Its stream counts
// as one call of its session, so that watching does not keep a session alive.
package sessions

import (
	"embed"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/page"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/upstream/manager"
)

//go:embed templates
var templates embed.FS

const (
	path        = console.Root + "sessions"
	managerType = "SessionManager"
)

// The rows that the section uses.
var (
	listRow = console.Row{Type: managerType, Name: "sessionList"}
	endRow  = console.Row{Type: managerType, Name: "TerminateSession", Method: true}
	// clientsRow says with which accounts the sessions of a front act.
	clientsRow = console.Row{Type: manager.ObjectType, Name: "clients"}
)

// section is the section of one console.
type section struct {
	kept cache
	// pace is the shortest time between two parts of a stream.
	pace time.Duration
}

// New returns the section. Each console needs its own.
func New() console.Section {
	s := &section{pace: defaultPace}
	return console.Section{
		Name: "sessions", Title: "console.sessions", Needs: listRow,
		Templates: page.Parse(templates, "templates/*.html"),
		Pages: map[string]console.Page{
			"GET sessions": s.list, "POST sessions/end": s.end,
		},
		Streams: map[string]console.Page{"GET sessions/events": s.events},
	}
}

// body is what the templates show.
type body struct {
	Query  query
	List   *listing
	Limits *sessionmanager.VigateSessionLimits // nil: the caller may not know them
	Front  bool
	MayEnd bool

	entry *entry // of List
}

// list shows the page.
func (s *section) list(x *console.Request) error {
	b, err := s.body(x, parse(x.Form))
	if err != nil {
		return err
	}
	return x.Page("sessions", x.Text("console.sessions"), b)
}

// body finds what the query asks for.
func (s *section) body(x *console.Request, q query) (*body, error) {
	if err := x.Check(listRow); err != nil {
		return nil, err
	}
	b := &body{Query: q, Front: x.Front() != "", MayEnd: x.May(endRow)}
	if l, err := console.Get[sessionmanager.VigateSessionLimits](x, sessionmanager.FactsType, "limits"); err == nil {
		b.Limits = &l
	}
	var err error
	if b.entry, err = s.kept.get(x, q, func() (*listing, error) { return find(x, q, b.idleLimit()) }); err != nil {
		return nil, err
	}
	b.List = b.entry.found
	return b, nil
}

// idleLimit returns after which time an unused session ends, or a usual time if the caller may not know it.
func (b *body) idleLimit() time.Duration {
	if b.Limits == nil || b.Limits.IdleSeconds <= 0 {
		return 30 * time.Minute
	}
	return time.Duration(b.Limits.IdleSeconds) * time.Second
}

// find reads the list.
func find(x *console.Request, q query, idleLimit time.Duration) (*listing, error) {
	all, err := console.Open[types.UserSession](x, managerType, "sessionList")
	if err != nil {
		return nil, err
	}
	t := newTally(q, x.Now(), idleLimit)
	if q.needsWays() {
		if t.ways, err = ways(x, nil); err != nil {
			return nil, err
		}
	}
	for s := range all {
		t.add(&s)
	}
	l := t.listing()
	return l, complete(x, l)
}

// ways returns the ways in by the key of the session, of all sessions or of those that are wanted.
func ways(x *console.Request, wanted map[string]string) (map[string]string, error) {
	logins, err := console.Open[sessionmanager.VigateSessionLogin](x, sessionmanager.FactsType, "logins")
	if err != nil {
		return nil, err
	}
	all := wanted == nil
	if all {
		wanted = map[string]string{}
	}
	for l := range logins {
		if _, ok := wanted[l.Key]; ok || all {
			wanted[l.Key] = l.Method
		}
	}
	return wanted, nil
}

// complete adds to the rows of the page what other properties tell.
func complete(x *console.Request, l *listing) error {
	wanted := make(map[string]string, len(l.Rows))
	for _, r := range l.Rows {
		wanted[r.Key] = r.Way
	}
	found, err := ways(x, wanted)
	if err != nil {
		return err
	}
	accounts := map[string]string{}
	if x.Front() != "" && x.May(clientsRow) {
		clients, err := console.Get[[]manager.VigateUpstreamClient](x, manager.ObjectType, "clients")
		if err != nil {
			return err
		}
		for _, c := range clients {
			if _, ok := wanted[c.Key]; ok {
				accounts[c.Key] = c.Account
			}
		}
	}
	for i := range l.Rows {
		r := &l.Rows[i]
		r.Way, r.Account = found[r.Key], accounts[r.Key]
	}
	return nil
}

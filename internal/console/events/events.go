// Package events is the section of the console that shows the events of the server, the newest first.
//
// The filter by type, user and time is that of the API. The text is searched in the messages here, in the language of
// the caller, in a bounded number of events. A page ends with a position, the time and key of its last event, from
// which the next one goes on, so that new events move no page.
//
// A watching browser has an event collector of the API, whose latest page it gets again when there is a new event.
// The collector is removed with the stream, or with the session.
package events

import (
	"bytes"
	"embed"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/page"
)

//go:embed templates
var templates embed.FS

const (
	path        = console.Root + "events"
	managerType = "EventManager"
	// rows is the number of events on a page.
	rows = 50
	// most is the number of events that one call returns.
	most = 1000
	// rounds is how many calls search for a text, so that a page is ready soon.
	rounds = 10
	// pace is the shortest time between two parts of a stream.
	pace = 700 * time.Millisecond
)

// The rows that the section uses.
var (
	queryRow   = console.Row{Type: managerType, Name: "QueryEvents", Method: true}
	changedRow = console.Row{Type: managerType, Name: "latestEvent"}
)

// New returns the section.
func New() console.Section {
	return console.Section{
		Name: "events", Title: "console.events", Needs: queryRow, Templates: page.Parse(templates, "templates/*.html"),
		Pages:   map[string]console.Page{"GET events": list},
		Streams: map[string]console.Page{"GET events/follow": follow},
	}
}

// body is what the templates show.
type body struct {
	Query  query
	Kinds  []string
	Rows   []row
	Older  string // path of the next page; empty: there is none
	Partly int    // how many events were searched, if not all; else 0
	Live   bool
}

func list(x *console.Request) error {
	q := parse(x.Form)
	b, err := find(x, q)
	if err != nil {
		return err
	}
	if b.Kinds, err = kinds(x); err != nil {
		return err
	}
	b.Live = q.Before.IsZero()
	return x.Page("events", x.Text("console.events"), b)
}

// find reads the page of the query.
func find(x *console.Request, q query) (*body, error) {
	b := &body{Query: q}
	at := q.Before
	for round := range rounds {
		spec := q.filter()
		if !at.IsZero() && (spec.Time.EndTime == nil || at.Time.Before(*spec.Time.EndTime)) {
			spec.Time.EndTime = &at.Time
		}
		if q.Text == "" && at.IsZero() {
			spec.MaxCount = rows + 1 // one more tells whether there is a next page
		}
		found, err := x.Do(managerType, queryRow.Name, &types.QueryEventsRequestType{Filter: spec})
		if err != nil {
			return nil, err
		}
		all, _ := found.([]types.BaseEvent)
		done, end := b.add(newestFirst(all), at)
		if done || len(all) < int(spec.MaxCount) {
			return b, nil
		}
		if end == at {
			break // as many events as a call returns have the same time
		}
		at, b.Partly = end, (round+1)*most
	}
	b.Older = q.path(at)
	return b, nil
}

// add adds the events after the position, until the page is full. end is the position after the last one.
func (b *body) add(all []types.BaseEvent, at position) (done bool, end position) {
	end = at
	for _, e := range all {
		of := e.GetEvent()
		here := position{of.CreatedTime, of.Key}
		if !at.IsZero() && !here.after(at) {
			continue
		}
		if len(b.Rows) == rows {
			b.Older, b.Partly = b.Query.path(end), 0
			return true, end
		}
		end = here
		if r := newRow(e); b.Query.fits(r) {
			b.Rows = append(b.Rows, r)
		}
	}
	return false, end
}

// follow is the stream of a page: the list, again after each new event.
func follow(x *console.Request) error {
	q := parse(x.Form)
	q.Before = position{}
	spec := q.filter()
	if q.Text == "" {
		spec.MaxCount = rows
	}
	made, err := x.Do(managerType, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{Filter: spec})
	if err != nil {
		return err
	}
	collector, _ := made.(types.ManagedObjectReference)
	defer x.Destroy(collector)
	return x.Follow(pace, []console.Row{changedRow}, func() ([]byte, error) {
		all, err := console.GetOf[[]types.BaseEvent](x, collector, "latestPage")
		if err != nil {
			return nil, err
		}
		b := &body{Query: q, Live: true}
		all = newestFirst(all)
		_, end := b.add(all, position{})
		if b.Older == "" && len(all) == int(spec.MaxCount) {
			b.Older = q.path(end)
		}
		var out bytes.Buffer
		err = x.Part(&out, "eventlist", b)
		return out.Bytes(), err
	})
}

package events

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/history/kind"
)

// maxText is the maximum length of a text in the filter, in bytes.
const maxText = 600

// minute is the form in which a browser sends a time of the filter.
const minute = "2006-01-02T15:04"

// query is what a page asks for.
type query struct {
	Type, User, Text string
	From, Until      time.Time // in UTC; zero: unset
	Before           position  // where the page begins; zero: at the newest event
}

// position is the place of an event in the list.
type position struct {
	Time time.Time
	Key  int32
}

// IsZero reports whether the position is before the newest event.
func (p position) IsZero() bool { return p.Time.IsZero() }

// after reports whether the event at p is older than that at other. The API does not tell the order of events of the
// same time; that of their keys is as good as any.
func (p position) after(other position) bool {
	return p.Time.Before(other.Time) || p.Time.Equal(other.Time) && p.Key < other.Key
}

// parse reads the query of a URL. Values that make no sense are ignored.
func parse(v url.Values) query {
	text := func(name string) string {
		s := strings.TrimSpace(v.Get(name))
		return s[:min(len(s), maxText)]
	}
	at := func(name string) time.Time {
		t, err := time.Parse(minute, v.Get(name))
		if err != nil {
			return time.Time{}
		}
		return t
	}
	q := query{Type: text("type"), User: text("user"), Text: text("text"), From: at("from"), Until: at("until")}
	moment, key, _ := strings.Cut(v.Get("before"), ",")
	nanos, err := strconv.ParseInt(moment, 10, 64)
	if n, errKey := strconv.ParseInt(key, 10, 32); err == nil && errKey == nil {
		q.Before = position{time.Unix(0, nanos).UTC(), int32(n)}
	}
	return q
}

// path returns the path of the page that begins after the position.
func (q query) path(before position) string {
	v := url.Values{}
	for name, value := range map[string]string{
		"type": q.Type, "user": q.User, "text": q.Text, "from": q.FromText(), "until": q.UntilText(),
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if !before.IsZero() {
		v.Set("before", strconv.FormatInt(before.Time.UnixNano(), 10)+","+strconv.Itoa(int(before.Key)))
	}
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// Newest returns the path of the first page.
func (q query) Newest() string { return q.path(position{}) }

// FromText returns the time as the form has it, or "".
func (q query) FromText() string { return inForm(q.From) }

// UntilText is FromText for the other end.
func (q query) UntilText() string { return inForm(q.Until) }

func inForm(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(minute)
}

// filter returns the filter of the API. Its Time is set.
func (q query) filter() types.EventFilterSpec {
	spec := types.EventFilterSpec{MaxCount: most, Time: &types.EventFilterSpecByTime{}}
	if !q.From.IsZero() {
		spec.Time.BeginTime = new(q.From)
	}
	if !q.Until.IsZero() {
		spec.Time.EndTime = new(q.Until.Add(time.Minute - 1)) // the whole minute
	}
	if q.User != "" {
		spec.UserName = &types.EventFilterSpecByUsername{UserList: []string{q.User}}
	}
	if q.Type != "" {
		spec.EventTypeId = []string{kind.ID(q.Type)}
	}
	return spec
}

// row is an event.
type row struct {
	Time       time.Time
	User, Type string
	Text       string
}

func newRow(e types.BaseEvent) row {
	of := e.GetEvent()
	return row{of.CreatedTime, of.UserName, kind.Of(e), of.FullFormattedMessage}
}

// fits reports whether the event has the text of the filter.
func (q query) fits(r row) bool {
	return q.Text == "" || strings.Contains(strings.ToLower(r.Text), strings.ToLower(q.Text))
}

// newestFirst sorts events.
func newestFirst(all []types.BaseEvent) []types.BaseEvent {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b types.BaseEvent) int {
		x, y := a.GetEvent(), b.GetEvent()
		return cmp.Or(y.CreatedTime.Compare(x.CreatedTime), cmp.Compare(y.Key, x.Key))
	})
	return all
}

// kinds returns the types of events that the server describes.
func kinds(x *console.Request) ([]string, error) {
	d, err := console.Get[types.EventDescription](x, managerType, "description")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range d.EventInfo {
		all = append(all, cmp.Or(e.Description, e.Key))
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

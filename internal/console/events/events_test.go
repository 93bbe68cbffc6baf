package events_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/console/events"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// note posts an event with a text.
func note(f *vimtest.Fixture, text string) {
	r := &types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: text}
	vimtest.OK(f.On("EventManager", "LogUserEvent", r))
}

// get requests the page of a query.
func get(b *consoletest.Browser, name, value string) *consoletest.Answer {
	return b.Get("/ui/events?" + url.Values{name: {value}}.Encode())
}

func TestTheNewestEventsAreFirst(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, events.New())
	f.Pass(time.Minute)
	note(f, "first note")
	f.Pass(time.Minute)
	note(f, `second note <img src=x onerror="alert(1)">`)
	a := b.Get("/ui/events").Is(http.StatusOK, "GeneralUserEvent", "2026-03-04T05:08:07Z", "vigate.permission.set").
		Lacks("<img")
	if first, second := strings.Index(a.Page, "first note"), strings.Index(a.Page, "second note"); first < second {
		t.Errorf("the first note is at %d, the second at %d", first, second)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, events.New())
	f.Pass(20 * time.Minute)
	note(f, "the note of the day")
	for _, c := range []struct{ name, value string }{
		{"text", "NOTE OF"}, {"type", "GeneralUserEvent"}, {"from", "2026-03-04T05:20"},
	} {
		get(b, c.name, c.value).Is(http.StatusOK, "the note of the day").
			Lacks(`<td data-label="Type">UserLoginSessionEvent`)
	}
	for _, c := range []struct{ name, value string }{
		{"text", "<i>nothing"}, {"type", "com.example.none"}, {"user", "<i>"}, {"until", "2026-03-04T04:00"},
	} {
		get(b, c.name, c.value).Is(http.StatusOK, "No event matches.").Lacks("<i>")
	}
	get(b, "until", "2026-03-04T05:25").Is(http.StatusOK).Lacks("the note of the day")
	get(b, "until", "2026-03-04T05:26").Is(http.StatusOK, "the note of the day")
	get(b, "user", "administrator").Is(http.StatusOK, "the note of the day").Lacks(`VSPHERE.LOCAL\Ann</td>`)
	get(b, "from", "yesterday").Is(http.StatusOK, "the note of the day")
}

var older = regexp.MustCompile(`rel="next" href="([^"]+)"`)

// walk returns the texts of the notes on all pages, from the first one.
func walk(t *testing.T, b *consoletest.Browser, target string) []string {
	t.Helper()
	noted := regexp.MustCompile(`event: (note \d+) `)
	var all []string
	for range 100 {
		a := b.Get(target).Is(http.StatusOK)
		for _, m := range noted.FindAllStringSubmatch(a.Page, -1) {
			all = append(all, m[1])
		}
		m := older.FindStringSubmatch(a.Page)
		if m == nil {
			return all
		}
		target = html.UnescapeString(m[1])
	}
	t.Fatal("the pages have no end")
	return nil
}

func TestThePagesShowEachEventOnce(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, events.New())
	const n = 1200
	for i := range n {
		if i%300 == 0 {
			f.Pass(time.Second) // 300 events have the same time
		}
		note(f, fmt.Sprintf("note %d !", i))
	}
	for _, query := range []string{"?type=GeneralUserEvent", "?text=note"} {
		all := walk(t, b, "/ui/events"+query)
		seen := map[string]bool{}
		for _, text := range all {
			seen[text] = true
		}
		if len(all) != n || len(seen) != n || all[0] != fmt.Sprintf("note %d", n-1) {
			t.Errorf("%s: %d notes, %d different ones", query, len(all), len(seen))
		}
	}
	if all := walk(t, b, "/ui/events?text=note+7+%21"); len(all) != 1 {
		t.Errorf("found %v", all)
	}
}

func TestAWatchedListShowsNewEvents(t *testing.T) {
	t.Parallel()
	f, b := consoletest.OpenAdmin(t, events.New())
	calls := f.Session(b.Session()).Session().CallCount
	w := b.Watch("/ui/events/follow?text=note")
	w.Until("No event matches.", true)
	for i := range 3 {
		note(f, fmt.Sprintf("note %d <b>", i))
		w.Until(fmt.Sprintf("note %d &lt;b&gt;", i), true)
	}
	if n := f.Session(b.Session()).Session().CallCount - calls; n > 2 {
		t.Errorf("watching made %d calls", n)
	}
	vimtest.OK(f.As(b.Session(), "SessionManager", "Logout", &types.LogoutRequestType{}))
	w.Ends("ended", "")
}

func TestEventsNeedASession(t *testing.T) {
	t.Parallel()
	_, b := consoletest.OpenAdmin(t, events.New())
	other := b.Another()
	other.Get("/ui/events").LeadsTo("/ui/login?next=%2Fui%2Fevents")
	other.Get("/ui/events/follow").Is(http.StatusUnauthorized)
}

package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/lab"
)

// rows is the text of the list that a page shows.
const rows = "document.querySelector('#list').innerText"

// keeps marks the page, and returns a function that fails the test if it was loaded again since.
func (b *tab) keeps() func() {
	b.t.Helper()
	evaluate[bool](b, "window.same = true")
	return func() {
		b.t.Helper()
		if !evaluate[bool](b, "window.same === true") {
			b.t.Error("the page was loaded again")
		}
	}
}

func TestEventsAppearWhileThePageIsOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.enterAt(admin, "/ui/events")
	b.sees("The list is kept up to date.")
	same := b.keeps()
	for i := range 3 {
		began := time.Now()
		client := fmt.Sprintf("visitor/%d", i)
		x := s.start(robot, client)
		b.wait(rows + ".includes(" + quote(client) + ")")
		t.Logf("an event appears within %v", time.Since(began).Round(time.Millisecond))
		x.logout()
	}
	b.wait(rows + ".split('UserLogoutSessionEvent').length == 4")

	// The page follows what it filters.
	b.write("input[name=user]", "robot")
	b.wait("new URLSearchParams(location.search).get('user') == 'robot'")
	b.wait("!" + rows + ".includes('Administrator')")
	b.write("input[name=type]", "UserLoginSessionEvent")
	b.wait("!" + rows + ".includes('UserLogoutSessionEvent')")
	b.sees("The list is kept up to date.")
	s.start(warden, "another/1").logout()
	s.start(robot, "visitor/4").logout()
	b.wait(rows + ".includes('visitor/4')")
	text := evaluate[string](b, rows)
	if strings.Contains(text, "another/1") || strings.Contains(text, "UserLogoutSessionEvent") {
		t.Errorf("the list shows what the filter excludes: %s", text)
	}
	same()

	// Without scripts, the same page is read.
	address := evaluate[string](b, "location.href")
	plain := b.another()
	plain.withoutScripts()
	plain.open(address)
	plain.wait(rows + ".includes('visitor/4')")
	plain.lacks("another/1", "The list is kept up to date.")
	plain.fill("input[name=user]", "warden")
	plain.submit("#filter button")
	plain.wait(rows + ".includes('another/1') && !" + rows + ".includes('visitor/4')")
}

// value is the field of an option.
func value(option string) string { return "tr[id='" + option + "'] input[name=value]" }

func TestSettingsAreChangedWithTheirUnits(t *testing.T) {
	t.Parallel()
	const lifetime, interval = "vigate.session.maxLifetime", "vigate.lockout.pair.interval"
	s := newSite(t)
	b := s.enterAt(admin, "/ui/settings")
	reader := s.enterAt(robot, "/ui/settings")
	cell := func(option string) string {
		return "document.querySelector(" + quote("tr[id='"+option+"'] td:nth-child(2)") + ").innerText"
	}
	before := evaluate[string](reader, cell(lifetime))
	set := func(option, text string) {
		t.Helper()
		b.fill(value(option), text)
		b.submit("tr[id='" + option + "'] form button")
	}
	read := func(option, want string) {
		t.Helper()
		reader.open(s.page("/ui/settings"))
		if got := strings.TrimSpace(evaluate[string](reader, cell(option))); got != strings.TrimSpace(want) {
			t.Errorf("%s is %q, want %q", option, got, want)
		}
	}
	set(lifetime, "90")
	b.sees(done)
	b.wait(cell(lifetime) + ".includes('min')")
	read(lifetime, "90 min")
	set(interval, "75")
	b.sees(done)
	read(interval, "75 s")
	set(lifetime, "390s") // a time that is no whole number of minutes
	b.sees(done)
	read(lifetime, "6m30s")

	// A refused value stays in its field, with the reason beside it.
	for _, text := range []string{"0", "many", "1000000000"} {
		set(lifetime, text)
		b.wait("document.querySelector(" + quote("tr[id='"+lifetime+"'] p.bad") + ")")
		b.lacks(done)
		if got := evaluate[string](b, "document.activeElement.value"); got != text {
			t.Errorf("the field with the focus has %q, want %q", got, text)
		}
		read(lifetime, "6m30s")
	}
	set(lifetime, "")
	b.sees(done)
	read(lifetime, before)
}

func TestThePageOfTheNodesFollowsInTheBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.enterAt(robot, "/ui/nodes")
	b.sees("The list is kept up to date.", "this node")
	same := b.keeps()
	const report, sessions = "document.querySelectorAll('#list tbody time')[1].dateTime",
		"Number(document.querySelectorAll('#list tbody td.number')[1].innerText)"
	first := evaluate[string](b, report)
	s.startMany(3, "client/1")
	b.wait(report + " > " + quote(first))
	b.wait(sessions + " == 4")
	same()
	plain := b.another()
	plain.withoutScripts()
	plain.open(s.page("/ui/nodes"))
	plain.sees("this node")
	plain.wait(sessions + " == 4")
}

func TestUpstreamsAreShownAndTestedInTheBrowser(t *testing.T) {
	t.Parallel()
	model, err := lab.NewModel(lab.VCenter)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(o *lab.Options) { o.Inventory = &model })
	b := s.enterAt(admin, "/ui/upstreams")
	b.sees("Available", s.Inventory().URL.Host, "Accounts")
	b.submit("form[action='/ui/upstreams/test'] button")
	b.sees("Test the upstream", "certificate", "account admin")
	if bad := evaluate[string](b, "document.querySelector('.bad')?.innerText ?? ''"); bad != "" {
		t.Errorf("the test of the upstream finds: %s", bad)
	}
	for _, scripts := range []bool{true, false} {
		reader := s.enterAt(robot, "/ui/upstreams")
		if !scripts {
			reader.withoutScripts()
			reader.open(s.page("/ui/upstreams"))
		}
		reader.sees("Available", s.Inventory().URL.Host)
		reader.lacks("Test the upstream")
		if status := reader.post("/ui/upstreams/test", map[string]string{"name": "lab"}); status != 403 {
			t.Errorf("scripts %v: a test by a reader: %d", scripts, status)
		}
	}
	s.Inventory().Close()
	b.open(s.page("/ui/upstreams"))
	b.submit("form[action='/ui/upstreams/test'] button")
	b.wait("document.querySelector('.bad')")
}

// TestTheOtherSectionsAreReadWithoutScripts follows the navigation, as an administrator and as a reader.
func TestTheOtherSectionsAreReadWithoutScripts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	texts := map[string]string{
		"Events": "UserLoginSessionEvent", "Service message": "Message to all users", "Users": "Wanda Warden",
		"Roles": ending, "Permissions": warden, "Settings": "vigate.session.maxLifetime", "Nodes": "this node",
		"Upstreams": "Upstreams", "Sessions": "this session",
	}
	for user, without := range map[string][]string{
		admin: nil, robot: {"Service message", "Users", "Sessions"},
	} {
		b := newTab(t)
		b.withoutScripts()
		b.open(s.page("/ui/"))
		b.login(user, password)
		b.sees("Log out")
		names := evaluate[[]string](b, "[...document.querySelectorAll('nav a')].map((a) => a.innerText)")
		if len(names) != len(texts)-len(without) {
			t.Errorf("%s is offered %q", user, names)
		}
		for _, name := range names {
			b.follow(name)
			b.wait("document.querySelector('nav a[aria-current]')?.innerText == " + quote(name))
			if texts[name] == "" {
				t.Errorf("an unknown section %s", name)
			}
			b.sees(texts[name])
		}
	}
}

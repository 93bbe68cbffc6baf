package console

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/lab"
)

func TestAUserLogsInAndOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newTab(t)
	b.open(s.page("/ui/sessions?group=user"))
	b.at("/ui/login")
	b.login(warden, "a wrong password 4")
	b.sees("Cannot complete login due to an incorrect user name or password.")
	if s.live(warden) != 0 {
		t.Error("a wrong password makes a session")
	}
	b.write("#password", password)
	b.click("main form button")
	b.wait("location.pathname + location.search == '/ui/sessions?group=user'")
	b.sees(warden, "Wanda Warden", "this session", "Time left: 29 min")
	if s.live(warden) != 1 {
		t.Error("there is no session")
	}
	b.click("header form button")
	b.at("/ui/login")
	b.sees("You have logged out.")
	if s.live(warden) != 0 {
		t.Error("a logout leaves the session")
	}
	// The browser kept nothing of the pages before.
	b.back()
	b.at("/ui/login")
	b.lacks("Wanda Warden")
}

func TestASessionThatEndsElsewhereLeadsToTheLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.enter(warden)
	b.sees("The list is kept up to date.")
	if err := s.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.at("/ui/login")
	b.sees("Your session has ended. Log in again.")
	b.login(warden, password)
	b.at("/ui/sessions")
}

func TestAUserWhoLosesAPrivilegeLosesWhatItOffers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(robot, "victim/1")
	b := s.enter(warden)
	b.sees("The list is kept up to date.", "victim/1")
	b.click("input[name=key]")
	if err := s.Grant(t.Context(), warden, "ReadOnly"); err != nil {
		t.Fatal(err)
	}
	// The page notices by itself, and shows nothing more of the sessions.
	b.lacks("victim/1")
	b.open(s.page("/ui/"))
	b.sees(warden, "Log out")
	b.wait("!document.querySelector('nav a[href=\"/ui/sessions\"]')")
	if err := s.Grant(t.Context(), warden, ending); err != nil {
		t.Fatal(err)
	}
	b.open(s.page("/ui/sessions"))
	b.sees("victim/1")
	b.click("input[name=key]")
	b.click("button[value=chosen]")
	b.sees("End sessions: 1.")
	if err := s.Grant(t.Context(), warden, "ReadOnly"); err != nil {
		t.Fatal(err)
	}
	b.click("button.danger")
	b.sees("This did not work")
	if s.live(robot) != 1 {
		t.Error("a session has been ended without the privilege")
	}
}

func TestTwoTabsShareASession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.enter(warden)
	second := first.another()
	second.open(s.page("/ui/sessions"))
	second.sees("Wanda Warden", "The list is kept up to date.")
	if n := s.live(warden); n != 1 {
		t.Errorf("two tabs have %d sessions", n)
	}
	first.click("header form button")
	first.sees("You have logged out.")
	second.at("/ui/login")

	// A form of the session before is refused, and the page says why.
	first.login(warden, password)
	first.at("/ui/sessions")
	second.open(s.page("/ui/sessions"))
	evaluate[string](second, "document.querySelector('header input[name=token]').value = 'of another session'")
	second.click("header form button")
	second.sees("The form is of another session.")
	if n := s.live(warden); n != 1 {
		t.Errorf("there are %d sessions", n)
	}
}

func TestThePageCountsDownTheLifeOfItsSession(t *testing.T) {
	t.Parallel()
	const life = 50 * time.Second
	var late atomic.Bool
	s := newSite(t, func(o *lab.Options) {
		o.Configure = func(c *config.Config) { c.IdleTimeout = life }
		o.Now = func() time.Time {
			if late.Load() {
				return time.Now().Add(life)
			}
			return time.Now()
		}
	})
	b := s.enter(warden)
	const left = "Number(document.getElementById('left').innerText.match(/Time left: (\\d+) s/)[1])"
	first := evaluate[int](b, left)
	if first > int(life/time.Second) {
		t.Errorf("%d s are left", first)
	}
	b.sees("The list is kept up to date.")
	b.wait(fmt.Sprintf("%s < %d", left, first-1))
	late.Store(true)
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.at("/ui/login")
	b.sees("Your session has ended. Log in again.")
	if s.live(warden) != 0 {
		t.Error("a page that only watches keeps its session alive")
	}
}

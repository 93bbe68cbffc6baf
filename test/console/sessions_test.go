package console

import (
	"testing"
	"time"
)

func TestTheListIsFilteredWhileOneTypes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startMany(3, "terraform/1.9")
	s.startMany(2, "govc/0.55")
	b := s.enter(warden)
	b.sees("Sessions: 6 of 6. Users: 2.")
	b.write("input[name=q]", "terra")
	b.sees("Sessions: 3 of 6. Users: 1.", "terraform/1.9")
	b.lacks("govc/0.55")
	b.wait("new URLSearchParams(location.search).get('q') == 'terra'")
	if focus := evaluate[string](b, "document.activeElement.name"); focus != "q" {
		t.Errorf("the focus moves to %q", focus)
	}
	// What is live is what is filtered.
	s.start(robot, "terraform/2.0")
	s.start(robot, "govc/0.56")
	b.sees("Sessions: 4 of 8. Users: 1.", "terraform/2.0")
	b.lacks("govc")

	b.choose("select[name=group]", "client")
	b.sees("Groups, the largest first")
	b.click("#list table a[href*='client=terraform%2F2.0']")
	b.sees("Sessions: 1 of 8.")
	b.click("ul.chosen a")
	b.sees("Sessions: 4 of 8.")
}

func TestSessionsAreEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startMany(4, "leak/1")
	s.start(robot, "good/1")
	b := s.enter(warden)
	b.sees("Sessions: 6 of 6.", "End all 6 that match…")

	// One: nothing happens before the confirmation, nor after a cancel.
	b.write("input[name=q]", "leak")
	b.sees("Sessions: 4 of 6.")
	b.click("input[name=key]")
	b.click("button[value=chosen]")
	b.sees("End sessions: 1. Their users: 1.", "leak/1")
	b.click("main .actions a")
	b.sees("Sessions: 4 of 6.")
	if n := s.live(robot); n != 5 {
		t.Fatalf("%d sessions are left after a cancel", n)
	}
	b.click("input[name=key]")
	b.click("button[value=chosen]")
	b.click("button.danger")
	b.sees("Ended: 1")
	if n := s.live(robot); n != 4 {
		t.Fatalf("%d sessions are left", n)
	}

	// All of a filter, without that which comes after the question.
	b.open(s.page("/ui/sessions?q=leak"))
	b.click("button[value=all]")
	b.sees("End sessions: 3. Their users: 1.")
	s.start(robot, "leak/late")
	b.click("button.danger")
	b.sees("Ended: 3")
	b.click("main .actions a")
	b.sees("leak/late", "good/1", "Sessions: 3 of 3.")

	// All of the page, with its own session spared.
	b.click("#every")
	b.click("button[value=chosen]")
	b.click("button.danger")
	b.sees("Ended: 2")
	if s.live(robot) != 0 || s.live(warden) != 1 {
		t.Errorf("%d sessions of others and %d of the user are left", s.live(robot), s.live(warden))
	}
}

func TestAnOpenPageShowsSessionsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.enter(warden)
	b.sees("The list is kept up to date.")
	evaluate[bool](b, "window.same = true")
	seen := func(what string, wait func(...string), text string, began time.Time) {
		wait(text)
		t.Logf("a session %s within %v", what, time.Since(began).Round(time.Millisecond))
	}
	for range 3 {
		began := time.Now()
		x := s.start(robot, "visitor/1")
		seen("appears", b.sees, "visitor/1", began)
		began = time.Now()
		x.logout()
		seen("vanishes", b.lacks, "visitor/1", began)
	}
	// What was selected stays selected while the list changes.
	chosen := s.start(robot, "chosen/1")
	b.sees("chosen/1")
	b.click("input[value='" + chosen.key + "']")
	s.start(robot, "visitor/2")
	b.sees("visitor/2")
	checked := evaluate[[]string](b, "[...document.querySelectorAll('input[name=key]:checked')].map((e) => e.value)")
	if len(checked) != 1 || checked[0] != chosen.key {
		t.Errorf("selected is %q", checked)
	}
	if !evaluate[bool](b, "window.same === true") {
		t.Error("the page was loaded again")
	}
}

func TestEverythingButTheLiveListWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startMany(3, "leak/1")
	s.start(robot, "good/1")
	b := newTab(t)
	b.withoutScripts()
	b.open(s.page("/ui/"))
	b.login(warden, password)
	b.sees("Sessions: 5 of 5. Users: 2.")
	b.lacks("The list is kept up to date.", "Select all")
	b.write("input[name=q]", "leak\r")
	b.sees("Sessions: 3 of 5. Users: 1.")
	b.click("input[name=key]")
	b.click("button[value=chosen]")
	b.sees("End sessions: 1.")
	b.click("button.danger")
	b.sees("Ended: 1")
	b.click("main .actions a")
	b.sees("Sessions: 4 of 4.")
	b.click("button[value=all]")
	b.sees("End sessions: 3.", "Your own session is not ended.")
	b.click("button.danger")
	b.sees("Ended: 3")
	if s.live(robot) != 0 {
		t.Error("sessions are left")
	}
	b.click("header form button")
	b.sees("You have logged out.")
}

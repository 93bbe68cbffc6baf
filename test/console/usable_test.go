package console

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// press presses a key.
func (b *tab) press(key string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(key))
}

// tabTo presses the Tab key until the element that a selector finds has the focus.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	const most = 100
	for range most {
		b.press(kb.Tab)
		if evaluate[bool](b, "document.activeElement.matches("+quote(selector)+")") {
			return
		}
	}
	b.t.Fatalf("%d times Tab do not lead to %s", most, selector)
}

// colours makes the tab prefer light or dark.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// speak makes the tab prefer a language.
func (b *tab) speak(language string) {
	b.t.Helper()
	agent := evaluate[string](b, "navigator.userAgent")
	command(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: agent, AcceptLanguage: language,
	})
}

func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(robot, "victim/1")
	b := newTab(t)
	b.open(s.page("/ui/"))
	b.at("/ui/login")
	b.wait("document.activeElement.id == 'user'")
	b.press(warden)
	b.tabTo("#password")
	b.press(password + kb.Enter)
	b.at("/ui/sessions")
	b.sees("victim/1")
	b.tabTo("a.skip")
	b.press(kb.Enter)
	b.wait("document.activeElement.id == 'main'")
	b.tabTo("input[name=key]")
	b.press(" ")
	b.wait("document.activeElement.checked")
	b.tabTo("button[value=chosen]")
	b.press(kb.Enter)
	b.sees("End sessions: 1.")
	b.tabTo("button.danger")
	b.press(" ")
	b.sees("Ended: 1")
	if s.live(robot) != 0 {
		t.Error("the session is left")
	}
	b.tabTo("main .actions a")
	b.press(kb.Enter)
	b.at("/ui/sessions")
}

func TestTheHeaderIsOneLineOnAWideScreen(t *testing.T) {
	t.Parallel()
	model, err := lab.NewModel(lab.ESXi) // with a front, all sections are there
	if err != nil {
		t.Fatal(err)
	}
	long := `VSPHERE.LOCAL\a-user-with-a-name-that-is-` + strings.Repeat("very-", 10) + "long"
	s := newSite(t, func(o *lab.Options) {
		o.Inventory = &model
		o.Users = append(o.Users, lab.User{Name: long, Password: secret.New(password), Role: "Admin"})
	})
	for language, user := range map[string]string{
		"en": admin, "en-US": long, "de": admin, "es": admin, "fr": admin, "it": admin, "ja": admin, "ko": admin,
		"zh-CN": admin, "zh-TW": admin,
	} {
		b := newTab(t)
		b.speak(language)
		b.open(s.page("/ui/"))
		b.login(user, password)
		b.at("/ui/sessions")
		b.do(chromedp.EmulateViewport(1200, 800))
		b.wait("document.querySelectorAll('nav a').length == 9 && document.querySelector('#left b')")
		// Each part is in the middle of the header.
		for _, part := range []string{".brand", "nav li:first-child", "nav li:last-child", ".who", ".who button"} {
			off := evaluate[float64](b, `(() => {
				const middle = (e) => { const r = e.getBoundingClientRect(); return r.y + r.height / 2; };
				const header = document.querySelector("header");
				return Math.abs(middle(header.querySelector(`+quote(part)+`)) - middle(header));
			})()`)
			if off > 4 {
				t.Errorf("%s, %s: %s is %g px off the middle of the header", language, user, part, off)
			}
		}
		if height := evaluate[int](b, "document.querySelector('header').offsetHeight"); height > 60 {
			t.Errorf("%s, %s: the header is %d px high", language, user, height)
		}
		if name := evaluate[string](b, "document.querySelector('.name').title"); !strings.EqualFold(name, user) {
			t.Errorf("%s, %s: the header names %s", language, user, name)
		}
	}
}

func TestTheBoxOfACardSaysWhatItSelects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startMany(2, "leak/1")
	b := s.enter(warden)
	b.sees("The list is kept up to date.", "leak/1")
	const row = "tbody tr:not(.own)"
	width := func(selector string) int {
		t.Helper()
		return evaluate[int](b, "document.querySelector("+quote(selector)+").offsetWidth")
	}
	for _, label := range []string{row + " .pick span", "thead .pick span"} {
		if w := width(label); w > 1 {
			t.Errorf("in a table, %s is %d px wide", label, w)
		}
	}
	b.do(chromedp.EmulateViewport(360, 740))
	b.wait("document.querySelector(" + quote(row+" .pick span") + ").offsetWidth > 100")
	b.sees("Select the session of "+robot, "Select all of this page")
	// A click on the text is one on the box.
	chosen := func(n int) {
		t.Helper()
		if got := evaluate[int](b, "document.querySelectorAll('input[name=key]:checked').length"); got != n {
			t.Errorf("%d sessions are selected, want %d", got, n)
		}
	}
	b.click(row + " .pick span")
	chosen(1)
	b.click("thead .pick span")
	chosen(2)
	b.click(row + " .pick span")
	chosen(1)
}

func TestWhatChangesByItselfIsSaid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startMany(2, "leak/1")
	s.start(robot, "other/1")
	b := s.enter(warden)
	b.sees("The list is kept up to date.")
	says := func(region, text string) {
		t.Helper()
		b.wait("document.querySelector('" + region + "[role=status]').textContent.includes(" + quote(text) + ")")
	}
	says("#live", "The list is kept up to date.")
	b.write("input[name=q]", "leak")
	says("#say", "Sessions: 2 of 4.")

	// The box of all follows the others, also when the list changes.
	every := func(is string) {
		t.Helper()
		b.wait("document.getElementById('every').checked == " + is)
	}
	b.click("#every")
	every("true")
	b.click("tbody input[name=key]")
	every("false")
	b.click("tbody input[name=key]")
	every("true")
	s.start(robot, "leak/2")
	b.sees("leak/2")
	every("false")

	// A filter that can't be asked leaves a list that is not up to date.
	evaluate[bool](b, "window.fetch = () => Promise.reject(new TypeError('no network')), true")
	b.write("input[name=q]", "/2")
	says("#live", "The list is not updated.")

	b.open(s.page("/ui/events"))
	says("#live", "The list is kept up to date.")
	b.write("input[name=user]", "nobody-of-this-name")
	says("#say", "No event matches.")
}

// violations are rules of accessibility that the page breaks, according to axe-core.
const violations = `axe.run().then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " +
	v.nodes.map((n) => n.target + " " + n.failureSummary).join("; ")))`

// TestEveryPageIsAccessible also checks that no page is wider than the screen of a telephone.
func TestEveryPageIsAccessible(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("testdata/node/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: scripts/setup installs it", err)
	}
	s := newSite(t)
	s.startMany(3, "terraform/1.9")
	b := newTab(t)
	b.open(s.page("/ui/login"))
	check := func(page string) {
		t.Helper()
		b.do(chromedp.Evaluate[chromedp.Void](string(axe)))
		for _, scheme := range []string{"light", "dark"} {
			b.colours(scheme)
			for _, v := range evaluate[[]string](b, violations) {
				t.Errorf("%s, %s: %s", page, scheme, v)
			}
		}
		b.do(chromedp.EmulateViewport(360, 740))
		if wide := evaluate[int](b, "document.documentElement.scrollWidth"); wide > 360 {
			t.Errorf("%s is %d px wide", page, wide)
		}
		b.do(chromedp.EmulateViewport(1100, 800))
	}
	check("login")
	b.login(admin, "a wrong password 4")
	b.sees("Cannot complete login")
	check("failed login")
	b.login(admin, password)
	b.at("/ui/sessions")
	b.sees("terraform/1.9")
	sections := evaluate[[]string](b, "[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))")
	pages := append(sections, "/ui/sessions?group=client&q=terra", "/ui/sessions?user=nobody", "/ui/nothing")
	for _, path := range pages {
		b.open(s.page(path))
		check(path)
	}
	b.open(s.page("/ui/sessions?q=terra"))
	b.click("button[value=all]")
	b.sees("End sessions: 3.")
	check("confirmation")
	b.click("button.danger")
	b.sees("Ended: 3")
	check("result")
}

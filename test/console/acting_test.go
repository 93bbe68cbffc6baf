package console

import (
	"slices"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

const (
	done   = "The change was made."
	denied = "Permission to perform this operation was denied."
	chief  = `VSPHERE.LOCAL\chief` // a second administrator
)

// withChief adds the second administrator.
func withChief(o *lab.Options) {
	o.Users = append(o.Users, lab.User{
		Name: chief, Password: secret.New(password), FullName: "Charlie Chief", Role: "Admin",
	})
}

// enterAt opens a tab in which a user is logged in, at a page.
func (s *site) enterAt(user, path string) *tab {
	s.t.Helper()
	b := newTab(s.t)
	b.open(s.page(path))
	b.login(user, password)
	b.wait("document.readyState == 'complete' && location.pathname + location.search == " + quote(path))
	return b
}

// fill replaces the text of a field.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.wait("document.querySelector(" + quote(selector) + ")")
	evaluate[string](b, "document.querySelector("+quote(selector)+").value = ''")
	if text != "" {
		b.write(selector, text)
	}
}

// onward does what leads to another page, and waits until that is there.
func (b *tab) onward(do func()) {
	b.t.Helper()
	evaluate[bool](b, "window.before = true")
	do()
	b.wait("!window.before && document.readyState == 'complete'")
}

// submit clicks on the button of a form.
func (b *tab) submit(selector string) {
	b.t.Helper()
	b.onward(func() { b.click(selector) })
}

// follow clicks on the link with a text.
func (b *tab) follow(text string) {
	b.t.Helper()
	link := `[...document.querySelectorAll("main a, nav a")].find((e) => e.innerText.trim() === ` + quote(text) + `)`
	b.wait(link)
	b.onward(func() { evaluate[bool](b, "{ "+link+".click(); true }") })
}

// post sends a form as the page would, with the token of the page's session, and returns the status of the answer.
func (b *tab) post(path string, fields map[string]string) int {
	b.t.Helper()
	script := `(() => {
		const form = new URLSearchParams({token: document.querySelector("header input[name=token]").value});
	`
	for name, value := range fields {
		script += "form.set(" + quote(name) + ", " + quote(value) + ");\n"
	}
	return evaluate[int](b, script+
		`return fetch(`+quote(path)+`, {method: "POST", body: form, redirect: "manual"}).then((r) => r.status); })()`)
}

// canLogIn reports whether a user can log in at the page of a new tab.
func (s *site) canLogIn(user, word string) bool {
	s.t.Helper()
	b := newTab(s.t)
	b.open(s.page("/ui/login"))
	b.onward(func() { b.login(user, word) })
	return evaluate[bool](b, "!!document.querySelector('header form button')")
}

func TestTheServiceMessageReachesTheTabsOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, scripts := range []bool{true, false} {
		other := s.enterAt(robot, "/ui/events")
		if !scripts {
			other.withoutScripts()
		}
		b := s.enterAt(admin, "/ui/message")
		const text = "We stop at 18:00. <b>Save your work.</b>"
		b.fill("#text", text)
		b.submit("main form button")
		b.sees(done, text)
		const shown = "document.querySelector('p.message')?.innerText"
		for _, page := range []string{"/ui/roles", "/ui/"} {
			other.open(s.page(page))
			other.wait(shown + " == " + quote(text))
		}
		b.fill("#text", "")
		b.submit("main form button")
		b.sees(done)
		other.open(s.page("/ui/roles"))
		other.lacks("We stop at 18:00.")
	}
}

func TestALockedUserIsUnlockedInTheBrowser(t *testing.T) {
	t.Parallel()
	const failures = 3
	s := newSite(t, func(o *lab.Options) {
		o.Configure = func(c *config.Config) { c.Lockout.Failures = failures }
	})
	b := newTab(t)
	b.open(s.page("/ui/login"))
	for i := range failures + 1 {
		word := "a wrong password 4"
		if i == failures {
			word = password
		}
		b.onward(func() { b.login(robot, word) })
		b.sees("Cannot complete login")
	}
	if s.live(robot) != 0 {
		t.Fatal("the user is not locked")
	}
	keeper := s.enterAt(admin, "/ui/events")
	keeper.sees("vigate.account.locked", robot)
	keeper.open(s.page("/ui/users"))
	keeper.wait("[...document.querySelectorAll('tbody tr')].filter((r) => r.innerText.includes('Locked')).length == 1")
	keeper.follow(robot)
	keeper.sees("Locked")
	keeper.submit("button[value=unlock]")
	keeper.sees(done)
	keeper.lacks("Locked")
	keeper.open(s.page("/ui/events"))
	keeper.sees("vigate.account.unlocked")
	b.login(robot, password)
	b.sees("Log out")
	if s.live(robot) != 1 {
		t.Error("the user is still locked")
	}
}

func TestUsersRolesAndPermissionsAreAddedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	const eve, first, second = `VSPHERE.LOCAL\eve`, "first password of eve 1", "second password of eve 2"
	s := newSite(t)
	b := s.enterAt(admin, "/ui/roles")

	b.follow("Add a role")
	b.write("input[name=name]", "Watchers")
	b.click("input[value='Sessions.TerminateSession']")
	b.submit("main form button")
	b.sees(done, "Watchers")

	b.open(s.page("/ui/users"))
	b.write("form[action='/ui/users/add'] input[name=name]", "eve")
	b.write("input[name=fullname]", "Eve Example")
	b.write("input[name=password]", first)
	b.submit("form[action='/ui/users/add'] button")
	b.sees(done, eve, "Eve Example")
	if s.canLogIn(eve, first) {
		t.Error("a user without a role can log in")
	}

	b.open(s.page("/ui/permissions"))
	role := evaluate[string](b,
		`[...document.querySelectorAll("select[name=role] option")].find((e) => e.innerText == "Watchers").value`)
	b.write("input[name=principal][required]", "eve")
	b.choose("select[name=role]", role)
	b.submit("form[action='/ui/permissions/set'] button")
	b.sees(done, eve, "Watchers")

	victim := newTab(t)
	victim.open(s.page("/ui/"))
	victim.login(eve, first)
	victim.at("/ui/sessions")
	victim.sees("this session")

	// The role changes while its user looks at the sessions.
	b.open(s.page("/ui/roles"))
	b.follow("Watchers")
	b.fill("input[name=name]", "Talkers")
	b.click("input[value='Sessions.TerminateSession']")
	b.click("input[value='Sessions.GlobalMessage']")
	b.submit("form[action='/ui/roles/save'] button")
	b.sees(done, "Talkers")
	victim.sees(denied)
	victim.lacks("this session")
	victim.follow("Back to the first page")
	victim.follow("Service message")
	victim.at("/ui/message")

	b.open(s.page("/ui/users"))
	b.follow(eve)
	b.sees("Talkers", "Sessions.GlobalMessage")
	b.fill("input[name=fullname]", "Eve Other")
	b.write("input[name=password]", second)
	b.submit("form:has(input[name=password]) button")
	b.sees(done, "Eve Other")
	if s.canLogIn(eve, first) || !s.canLogIn(eve, second) {
		t.Error("the password is not the new one")
	}
	for _, word := range []string{first, second} {
		if evaluate[bool](b, "document.documentElement.outerHTML.includes("+quote(word)+")") {
			t.Error("the page has a password")
		}
	}

	b.submit("button[value=disable]")
	b.sees("Disable " + eve + "?")
	b.follow("Cancel")
	b.at("/ui/users/user")
	if s.live(eve) == 0 {
		t.Error("the sessions have ended before the answer")
	}
	b.submit("button[value=disable]")
	b.submit("button.danger")
	b.sees(done)
	if s.live(eve) != 0 || s.canLogIn(eve, second) {
		t.Error("a disabled user has a session")
	}
	b.submit("button[value=enable]")
	b.sees(done)
	if !s.canLogIn(eve, second) {
		t.Error("an enabled user can't log in")
	}

	// A role that is used stays.
	b.open(s.page("/ui/roles"))
	b.follow("Talkers")
	b.submit("form[action='/ui/roles/remove'] button")
	b.sees("Remove Talkers?")
	b.submit("button.danger")
	b.wait("document.querySelector('main p.bad')?.innerText.includes('could not be removed')")
	b.open(s.page("/ui/permissions"))
	b.submit("button[aria-label='Remove VSPHERE.LOCAL\\\\eve']")
	b.sees("Remove " + eve + "?")
	b.submit("button.danger")
	b.sees(done)
	b.lacks(eve)
	b.open(s.page("/ui/roles"))
	b.follow("Talkers")
	b.submit("form[action='/ui/roles/remove'] button")
	b.submit("button.danger")
	b.sees(done)
	b.lacks("Talkers")

	b.open(s.page("/ui/users"))
	b.follow(eve)
	b.submit("button[value=remove]")
	b.sees("Remove " + eve + "?")
	b.submit("button.danger")
	b.sees(done)
	b.lacks(eve)
	if s.live(eve) != 0 || s.canLogIn(eve, second) {
		t.Error("a removed user has a session")
	}
}

func TestAUserIsNotOfferedWhatIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(warden, "victim/1")
	b := s.enterAt(robot, "/ui/events")
	sections := evaluate[[]string](b, "[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))")
	for _, path := range []string{"/ui/sessions", "/ui/users", "/ui/message"} {
		if slices.Contains(sections, path) {
			t.Errorf("the navigation offers %s", path)
		}
		b.open(s.page(path))
		b.sees("This did not work", denied)
	}
	if len(sections) == 0 {
		t.Error("the navigation offers nothing")
	}
	// On the pages that the user may read, the only form is that of the logout, or one that filters.
	for _, path := range append(sections, "/ui/roles/role?id=-1") {
		b.open(s.page(path))
		b.at(evaluate[string](b, "location.pathname"))
		forms := evaluate[[]string](b, `[...document.querySelectorAll("main form[method=post]")].filter((f) =>
			f.querySelector("button, input:enabled:not([type=hidden])")).map((f) => f.action)`)
		if len(forms) > 0 {
			t.Errorf("%s offers %q", path, forms)
		}
	}
	for _, c := range []struct {
		path   string
		fields map[string]string
	}{
		{"/ui/message", map[string]string{"text": "a message of the robot"}},
		{"/ui/users/add", map[string]string{"name": "mallory", "password": "a password of mallory 1"}},
		{"/ui/users/change", map[string]string{"name": warden, "do": "unlock"}},
		{"/ui/users/change", map[string]string{"name": warden, "do": "disable", "yes": "1"}},
		{"/ui/users/change", map[string]string{"name": warden, "do": "remove", "yes": "1"}},
		{"/ui/users/change", map[string]string{"name": warden, "do": "update", "password": "a password of mallory 1"}},
		{"/ui/roles/save", map[string]string{"name": "Mallory", "privilege": "Sessions.TerminateSession"}},
		{"/ui/roles/remove", map[string]string{"id": "-1", "yes": "1"}},
		{"/ui/permissions/set", map[string]string{"principal": robot, "kind": "user", "role": "-1"}},
		{"/ui/permissions/remove", map[string]string{"principal": warden, "kind": "user", "yes": "1"}},
		{"/ui/settings", map[string]string{"name": "vigate.session.maxLifetime", "value": "7"}},
		{"/ui/upstreams/test", map[string]string{"name": "lab"}},
		{"/ui/sessions/end", map[string]string{"scope": "all", "yes": "1"}},
	} {
		if status := b.post(c.path, c.fields); status != 403 {
			t.Errorf("POST %s %v: %d", c.path, c.fields, status)
		}
	}
	// Nothing has happened.
	if s.live(warden) != 1 || s.live(robot) != 1 {
		t.Errorf("sessions: %d of the warden, %d of the robot", s.live(warden), s.live(robot))
	}
	b.open(s.page("/ui/settings"))
	b.lacks("a message of the robot")
	b.open(s.page("/ui/roles"))
	b.sees(ending)
	b.lacks("Mallory")
	if !s.canLogIn(warden, password) || s.canLogIn("mallory", "a password of mallory 1") {
		t.Error("a user has been changed or added")
	}
}

// TestAnAdministratorWhoLosesThePrivilegesIsToldSo has the pages open, with forms filled in, when another administrator
// takes the permission away.
func TestAnAdministratorWhoLosesThePrivilegesIsToldSo(t *testing.T) {
	t.Parallel()
	s := newSite(t, withChief)
	first := s.enterAt(chief, "/ui/events")
	tabs := map[string]*tab{}
	open := func(path string) *tab {
		b := first.another()
		b.open(s.page(path))
		tabs[path] = b
		return b
	}
	open("/ui/message").fill("#text", "a late message")
	b := open("/ui/users")
	b.write("form[action='/ui/users/add'] input[name=name]", "late")
	b.write("form[action='/ui/users/add'] input[name=password]", "a password of late 1")
	open("/ui/users/user?name=VSPHERE.LOCAL%5Crobot")
	open("/ui/roles/role").write("input[name=name]", "Late")
	open("/ui/permissions").write("input[name=principal][required]", "late")
	open("/ui/settings").fill("tr[id='vigate.session.maxLifetime'] input[name=value]", "7")
	watched := open("/ui/sessions")
	watched.sees("The list is kept up to date.", "this session")
	reader := open("/ui/nodes")
	reader.sees("The list is kept up to date.", "this node")

	other := s.enterAt(admin, "/ui/permissions")
	role := evaluate[string](other,
		`[...document.querySelectorAll("select[name=role] option")].find((e) => e.innerText == "Read-only").value`)
	other.write("input[name=principal][required]", chief)
	other.choose("select[name=role]", role)
	other.submit("form[action='/ui/permissions/set'] button")
	other.sees(done)

	// What follows ends by itself if it needs the privilege, and goes on if it does not.
	watched.sees("This did not work", denied)
	watched.lacks("this session")
	reader.sees("The list is kept up to date.", "this node")
	for path, button := range map[string]string{
		"/ui/message": "main form button", "/ui/users": "form[action='/ui/users/add'] button",
		"/ui/users/user?name=VSPHERE.LOCAL%5Crobot": "button[value=disable]",
		"/ui/roles/role":  "form[action='/ui/roles/save'] button",
		"/ui/permissions": "form[action='/ui/permissions/set'] button",
		"/ui/settings":    "tr[id='vigate.session.maxLifetime'] form button",
	} {
		b := tabs[path]
		b.submit(button)
		b.sees("This did not work", denied)
		b.follow("Back to the first page")
		b.sees(chief, "Log out")
		if evaluate[bool](b, "!!document.querySelector('nav a[href=\"/ui/users\"]')") {
			t.Errorf("%s: the navigation still offers the users", path)
		}
	}
	other.open(s.page("/ui/roles"))
	other.sees(ending)
	other.lacks("Late", "a late message")
	if s.canLogIn("late", "a password of late 1") || !s.canLogIn(robot, password) {
		t.Error("a user has been added or disabled")
	}

	// Without any permission, nothing is left, and the page that follows says so.
	if err := s.Grant(t.Context(), chief, ""); err != nil {
		t.Fatal(err)
	}
	reader.lacks("this node")
	reader.sees(denied)
}

package console

import (
	"net/url"
	"slices"
	"testing"
)

// firstUser is the name that the user test-user has at the provider.
const firstUser = "test-user@127.0.0.1"

func TestAUserLogsInAtAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newProviderSite(t, p, clientID)
	for _, scripts := range []bool{true, false} {
		b := newTab(t)
		if !scripts {
			b.withoutScripts()
		}
		b.open(s.local("/ui/sessions?group=user"))
		b.sees("Log in with " + p.Listener.Addr().String())
		b.loginAt(p, firstUser)
		b.wait("location.pathname + location.search == '/ui/sessions?group=user'")
		b.sees(oidcUser)
		b.hides(p)
		if n := s.live(oidcUser); n != 1 {
			t.Errorf("scripts %v: %d sessions of the user", scripts, n)
		}
		b.open(s.local("/ui/sessions?way=jwt"))
		b.sees("this session", "Sessions: 1 of 1.")
		b.click("header form button")
		b.sees("You have logged out.")
		if n := s.live(oidcUser); n != 0 {
			t.Errorf("scripts %v: %d sessions after the logout", scripts, n)
		}
	}
	if want := []string{"access_token", "code", "code_verifier", "id_token", "nonce", "state"}; !slices.Equal(
		p.noted(), want) {
		t.Errorf("the provider has seen %q, want %q", p.noted(), want)
	}
}

func TestALoginAtAnOpenIDProviderThatIsRefusedSaysSo(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newProviderSite(t, p, clientID)
	failed := "The login at " + p.Listener.Addr().String() + " failed. Try again."
	const late = "This login was not begun in this browser"
	for name, c := range map[string]struct {
		user   string
		change func(url.Values)
		text   string
	}{
		"the user cancels": {firstUser, func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied") // RFC 6749, section 4.1.2.1
		}, failed},
		"another state":         {firstUser, func(q url.Values) { q.Set("state", q.Get("state")[1:]+"A") }, late},
		"no state":              {firstUser, func(q url.Values) { q.Del("state") }, late},
		"another code":          {firstUser, func(q url.Values) { q.Set("code", q.Get("code")[1:]+"A") }, failed},
		"another issuer":        {firstUser, func(q url.Values) { q.Set("iss", "https://evil.example") }, failed},
		"a user without a role": {"test-user2", nil, "Permission to perform this operation was denied."},
	} {
		b := newTab(t)
		b.open(s.local("/ui/sessions"))
		p.changes(c.change)
		b.loginAt(p, c.user)
		b.sees(c.text)
		b.wait("location.pathname + location.search == '/ui/login'")
		b.hides(p)
		if n := len(s.Sessions()); n != 0 {
			t.Fatalf("%s: %d sessions", name, n)
		}
		// The page is that of the login. From there, all is well.
		p.changes(nil)
		b.loginAt(p, firstUser)
		b.at("/ui/sessions")
		b.sees(oidcUser)
		b.click("header form button")
		b.sees("You have logged out.")
	}
}

// TestACodeOfAnotherBrowserLogsNobodyIn also shows that a login can't be made in the name of somebody else: an attacker
// who lures a browser to the end of the attacker's own login does not log it in.
func TestACodeOfAnotherBrowserLogsNobodyIn(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newProviderSite(t, p, clientID)
	attacker := newTab(t)
	attacker.open(s.local("/ui/login"))
	stolen := make(chan url.Values, 1)
	p.changes(func(q url.Values) {
		stolen <- url.Values{"code": q["code"], "state": q["state"]}
		q.Del("code") // the code is not used
	})
	attacker.loginAt(p, firstUser)
	attacker.sees("failed. Try again.")
	end := s.local(callbackPath) + "?" + (<-stolen).Encode()
	p.changes(nil)
	x := trap(t, `<script>location.href = `+quote(end)+`</script>`)
	b := newTab(t)
	b.open(s.local("/ui/login"))
	b.sees("Log in with")
	b.open(x.URL)
	b.sees("This login was not begun in this browser")
	b.hides(p)
	if n := len(s.Sessions()); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestAnUnknownClientStaysAtTheProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newProviderSite(t, p, "stranger")
	b := newTab(t)
	b.open(s.local("/ui/"))
	b.at("/ui/login")
	b.click("a.button")
	b.wait("location.origin == " + quote(p.URL))
	b.sees("unable to retrieve client by id")
	b.back()
	b.at("/ui/login")
	b.login(warden, password)
	b.at("/ui/sessions")
	if s.live(warden) != 1 || len(s.Sessions()) != 1 {
		t.Errorf("%d sessions", len(s.Sessions()))
	}
}

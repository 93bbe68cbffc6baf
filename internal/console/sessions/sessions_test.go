package sessions_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/console/sessions"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// open returns a browser in which the administrator is logged in, besides the sessions of the fixture.
func open(t *testing.T) (*vimtest.Fixture, *consoletest.Browser) {
	t.Helper()
	return consoletest.OpenAdmin(t, sessions.New())
}

// client logs in with a user agent from an address, and returns the token and the key.
func client(f *vimtest.Fixture, agent, address string) (token, key string) {
	f.Peer.UserAgent, f.Peer.Address = agent, address
	token = f.Login(vimtest.AnnName, vimtest.AnnPassword)
	return token, f.Key(token)
}

func TestTheListSaysWhoHasASession(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	f.Pass(90 * time.Second)
	_, key := client(f, "govc/0.50", "198.51.100.7")
	a := b.Get("/ui/sessions").Is(http.StatusOK, "Sessions: 4 of 4. Users: 2.", "Ann Example", "198.51.100.7",
		"govc/0.50", "password", "2026-03-04T05:07:37Z", "1 min", "this session",
		"4 of 100\u202f000 possible sessions (0 %)")
	if keys := a.Field("key"); len(keys) != 3 || keys[0] != key {
		t.Errorf("the newest session of another is not the first of %v", keys)
	}
}

func TestNamesFromStrangersDoNothing(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	const bad = `<script src="//evil.example/x.js"></script><img src=x onerror=alert(1)>"'`
	client(f, bad, "198.51.100.7")
	f.User("mallory", access.TerminateSession)
	vimtest.OK(f.Create("eve", "password of eve", bad))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: "eve", RoleId: access.ReadOnly, Propagate: true}))
	f.Login("eve", "password of eve")
	for _, path := range []string{
		"/ui/sessions", "/ui/sessions?group=client", "/ui/sessions?q=" + url.QueryEscape(bad),
		"/ui/sessions?client=" + url.QueryEscape(bad), "/ui/sessions?sort=" + url.QueryEscape(bad),
	} {
		b.Get(path).Is(http.StatusOK).Lacks("<script src=\"//", "<img", "onerror=alert(1)>\"")
	}
	a := b.Get("/ui/sessions")
	b.Post("/ui/sessions/end", url.Values{"scope": {"chosen"}, "key": a.Field("key")}).
		Is(http.StatusOK, bad).Lacks("<script src=\"//", "<img")
}

func TestTheListIsFilteredSortedAndGrouped(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	f.Pass(10 * time.Minute)
	_, old := client(f, "terraform/1.9", "198.51.100.1")
	f.Pass(5 * time.Minute)
	_, young := client(f, "govc/0.50", "198.51.100.2")
	second, other := client(f, "govc/0.50", "198.51.100.3")
	for range 3 {
		f.Prop(second, "SessionManager", "currentSession")
	}
	for query, want := range map[string][]string{
		"q=GOVC":                                   {other, young},
		"q=198.51.100.2":                           {young},
		"q=govc&sort=address":                      {young, other},
		"q=198.51.100&sort=-idle&rows=25":          {old, young, other},
		"q=198.51.100&idle=5m":                     {old},
		"q=198.51.100&sort=-calls&rows=25":         {other, young, old},
		"client=terraform/1.9":                     {old},
		"address=198.51.100.3&way=password":        {other},
		"address=198.51.100.3&way=kerberos":        nil,
		"user=vsphere.local\\ann&client=GOVC/0.50": {other, young},
		"q=" + old:                                 {old},
	} {
		if query == "q=198.51.100&sort=-idle&rows=25" {
			f.Prop(second, "SessionManager", "currentSession")
		}
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got := b.Get("/ui/sessions?" + v.Encode()).Is(http.StatusOK).Field("key")
		// Equal values have the order of the logins, which is that of the keys if the clock stands still.
		if strings.HasPrefix(query, "q=198.51.100&sort=-idle") {
			got, want = got[:1], want[:1]
		}
		if query == "q=GOVC" || strings.HasPrefix(query, "user=") {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	b.Get("/ui/sessions?group=client").Is(http.StatusOK, "govc/0.50</a></td>\n<td class=\"number\">2",
		`href="/ui/sessions?client=terraform%2F1.9"`)
	b.Get("/ui/sessions?group=user").Is(http.StatusOK, "/ 2\u202f000")
	b.Get("/ui/sessions?q=GOVC").Is(http.StatusOK, "Sessions: 2 of 6. Users: 1.")
	b.Get("/ui/sessions?q=nobody").Is(http.StatusOK, "Sessions: 0 of 6. Users: 0.", "No session matches.").
		Lacks(`name="scope"`, "of 0")
	// What makes no sense is left out.
	b.Get("/ui/sessions?sort=nothing&group=x&rows=7&page=-1&idle=soon").Is(http.StatusOK, "Sessions: 6 of 6.")
	b.Get("/ui/sessions?page=99").Is(http.StatusOK, "1–6 of 6")
}

func TestAListIsShownInPages(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	for i := range 57 {
		f.Pass(time.Second)
		client(f, fmt.Sprintf("client/%d", i), "198.51.100.1")
	}
	seen := map[string]bool{}
	for page, want := range []int{25, 25, 9} {
		a := b.Get(fmt.Sprintf("/ui/sessions?rows=25&page=%d", page+1)).Is(http.StatusOK, " of 60")
		for _, key := range a.Field("key") {
			seen[key] = true
		}
		if n := len(a.Field("key")); n != want {
			t.Errorf("page %d has %d sessions of others", page+1, n)
		}
		next, prev := strings.Contains(a.Page, `rel="next"`), strings.Contains(a.Page, `rel="prev"`)
		if next != (page < 2) || prev != (page > 0) {
			t.Errorf("page %d leads elsewhere", page+1)
		}
	}
	if len(seen) != 59 {
		t.Errorf("the pages have %d sessions of others", len(seen))
	}
}

func TestWithoutThePrivilegeThereIsNoList(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/sessions").Is(http.StatusForbidden, "Permission to perform this operation was denied.").
		Lacks(vimtest.AdminName, `href="/ui/sessions"`)
	b.Get("/ui/sessions/events").Is(http.StatusOK, "event: refused").Lacks(vimtest.AdminName)
	b.Get("/ui/")
	form := url.Values{
		"scope": {"chosen"}, "key": {f.Key(f.Admin)}, "yes": {"1"}, "asked": {"1"}, "count": {"1"},
	}
	b.Post("/ui/sessions/end", form).Is(http.StatusForbidden, "Permission to perform this operation was denied.")
	if !f.Alive(f.Admin) {
		t.Error("the session has ended")
	}
}

// confirm sends the form of a confirmation.
func confirm(b *consoletest.Browser, a *consoletest.Answer) *consoletest.Answer {
	form := url.Values{}
	for _, name := range []string{"yes", "scope", "filter", "asked", "count", "key"} {
		if v := a.Field(name); len(v) > 0 {
			form[name] = v
		}
	}
	return b.Post("/ui/sessions/end", form)
}

func TestChosenSessionsEndAfterAConfirmation(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	one, key := client(f, "govc/1", "198.51.100.1")
	two, other := client(f, "govc/2", "198.51.100.2")
	b.Get("/ui/sessions")
	a := b.Post("/ui/sessions/end", url.Values{"scope": {"chosen"}, "key": {key}}).
		Is(http.StatusOK, "End sessions: 1. Their users: 1.", "govc/1").Lacks("govc/2")
	if !f.Alive(one) {
		t.Fatal("the session has ended before the answer")
	}
	confirm(b, a).Is(http.StatusOK, "Ended: 1")
	if f.Alive(one) || !f.Alive(two) {
		t.Error("another session has ended")
	}
	// Meanwhile one has ended by itself, and the own session is spared.
	b.Get("/ui/sessions")
	three, third := client(f, "govc/3", "198.51.100.2")
	a = b.Post("/ui/sessions/end", url.Values{"scope": {"chosen"}, "key": {other, third, f.Key(b.Session())}}).
		Is(http.StatusOK, "End sessions: 2.", "Your own session is not ended.")
	vimtest.OK(f.As(two, "SessionManager", "Logout", logout))
	confirm(b, a).Is(http.StatusOK, "Ended: 1", "Already gone: 1")
	if f.Alive(three) || !f.Alive(b.Session()) {
		t.Error("the chosen session is alive, or the own one is not")
	}
	b.Post("/ui/sessions/end", url.Values{"scope": {"chosen"}}).Is(http.StatusOK, "No session is selected.")
	b.Post("/ui/sessions/end", url.Values{"scope": {"chosen"}, "key": {key}, "yes": {"1"}}).Is(http.StatusBadRequest)
}

func TestAllSessionsOfAFilterEndAfterAConfirmation(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	var tokens []string
	for i := range 150 {
		token, _ := client(f, fmt.Sprintf("leak/%d", i), "198.51.100.1")
		tokens = append(tokens, token)
	}
	kept, _ := client(f, "good", "198.51.100.1")
	page := b.Get("/ui/sessions?q=leak").Is(http.StatusOK, "End all 150 that match…")
	a := b.Post("/ui/sessions/end", url.Values{"scope": {"all"}, "filter": page.Field("filter")}).
		Is(http.StatusOK, "End sessions: 150.", "and 130 more")
	f.Pass(time.Second)
	late, _ := client(f, "leak/late", "198.51.100.1")
	confirm(b, a).Is(http.StatusOK, "Ended: 150").Lacks("Refused", "Not tried")
	for i, token := range tokens {
		if f.Alive(token) {
			t.Errorf("session %d is alive", i)
		}
	}
	if !f.Alive(kept) || !f.Alive(late) || !f.Alive(b.Session()) {
		t.Error("a session that was not chosen has ended")
	}
}

func TestMoreSessionsThanConfirmedAreAskedForAgain(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	first, _ := client(f, "slow/1", "198.51.100.1")
	f.Pass(2 * time.Minute)
	second, _ := client(f, "slow/2", "198.51.100.1")
	page := b.Get("/ui/sessions?q=slow&idle=1m")
	a := b.Post("/ui/sessions/end", url.Values{"scope": {"all"}, "filter": page.Field("filter")}).
		Is(http.StatusOK, "End sessions: 1.")
	f.Pass(2 * time.Minute)
	a = confirm(b, a).Is(http.StatusOK, "More sessions match now than you confirmed: 2.")
	if !f.Alive(first) || !f.Alive(second) {
		t.Fatal("a session has ended")
	}
	confirm(b, a).Is(http.StatusOK, "Ended: 2")
}

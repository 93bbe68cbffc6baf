package console

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

var writePictures = flag.Bool("pictures", false, "write the pictures of docs/console.md")

const (
	pictureDir  = "../../docs/images"
	pictureDocs = "../../docs/console.md"
)

// pictureTime is the time that the server of the pictures has when the visits are over.
var pictureTime = time.Date(2026, time.June, 9, 14, 30, 0, 0, time.UTC)

// visit is what a user of the pictures did with a client.
type visit struct {
	address, user, client string
	sessions, calls       int
	// since and idle count back from pictureTime, for the first of the sessions. The others follow in even steps.
	since, idle time.Duration
}

var visits = []visit{
	{"192.0.2.40", "svc-backup", "backup-agent/12.1", 6, 4, 111 * time.Minute, 108 * time.Minute},
	{"192.0.2.21", "anna", "PowerCLI/13.3", 1, 37, 95 * time.Minute, 2 * time.Minute},
	{"192.0.2.50", "svc-monitoring", "python-requests/2.32", 2, 52, 80 * time.Minute, 20 * time.Second},
	{"198.51.100.7", "ben", "govc/0.52.0", 1, 12, 64 * time.Minute, 41 * time.Minute},
	{"192.0.2.31", "svc-terraform", "Terraform/1.12.2", 3, 18, 26 * time.Minute, 12 * time.Minute},
	{"198.51.100.7", "ben", "pyvmomi/8.0.3", 1, 3, 9 * time.Minute, 4 * time.Minute},
}

// moment is something that a user does at a time before pictureTime.
type moment struct {
	before time.Duration
	do     func()
}

// receive makes the visits, in the order of their times.
func (s *site) receive(before *atomic.Int64) {
	s.t.Helper()
	var all []moment
	for _, v := range visits {
		for i := range v.sessions {
			later := v.idle / time.Duration(v.sessions) * time.Duration(i)
			var x *session
			all = append(all,
				moment{v.since - later, func() { x = s.startAt(v.address, v.user, v.client) }},
				moment{v.idle - later, func() {
					for range v.calls {
						x.use(v.client)
					}
				}})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return int(b.before - a.before) })
	for _, m := range all {
		before.Store(int64(m.before))
		m.do()
	}
	before.Store(0)
}

// newPictureSite starts a server with users whose visits are over.
func newPictureSite(t *testing.T) *site {
	t.Helper()
	model, err := lab.NewModel(lab.VCenter)
	if err != nil {
		t.Fatal(err)
	}
	var before atomic.Int64
	before.Store(int64(2 * time.Hour))
	s := newSite(t, func(o *lab.Options) {
		o.Inventory = &model
		o.Now = func() time.Time { return pictureTime.Add(-time.Duration(before.Load())) }
		o.Configure = func(c *config.Config) {
			c.IdleTimeout, c.MaxSessions, c.MaxSessionsPerUser = 2*time.Hour, 50, 20
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		}
		o.Users = nil
		for _, u := range []lab.User{
			{Name: "anna", FullName: "Anna Berger", Role: ending},
			{Name: "ben", FullName: "Ben Okafor", Role: "ReadOnly"},
			{Name: "svc-backup", FullName: "Backup", Role: "ReadOnly"},
			{Name: "svc-monitoring", FullName: "Monitoring", Role: "ReadOnly"},
			{Name: "svc-terraform", FullName: "Terraform", Role: "ReadOnly"},
		} {
			u.Password = secret.New(password)
			o.Users = append(o.Users, u)
		}
	})
	s.receive(&before)
	return s
}

// stopClock makes the scripts of pages find that no time passes, so that they count nothing up or down.
const stopClock = `{ const now = Date.now(); Date.now = () => now; }`

// sameEachTime replaces what differs in each run of the tests: keys of sessions, and ports.
const sameEachTime = `{
	const keys = [];
	const number = (key) => {
		if (!keys.includes(key)) keys.push(key);
		return "52a4c1f0-7d3e-4b16-9f28-" + String(keys.indexOf(key) + 1).padStart(12, "0");
	};
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const t = texts.currentNode;
		const same = t.data.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, number)
			.replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:8443");
		if (same !== t.data) t.data = same;
	}
}`

// camera takes the pictures of a tab.
type camera struct {
	*tab
	taken []string // names of the files
}

// take takes a picture when the page shows the texts.
func (c *camera) take(name string, width, height int64, texts ...string) {
	c.t.Helper()
	c.do(chromedp.EmulateViewport(width, height))
	c.sees(texts...)
	file := "console-" + name + ".png"
	c.taken = append(c.taken, file)
	if !*writePictures {
		return
	}
	evaluate[chromedp.Void](c.tab, "document.activeElement.blur(); scrollTo(0, 0); "+sameEachTime)
	shot, err := chromedp.Run(c.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = writePicture(filepath.Join(pictureDir, file), shot)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestThePicturesOfTheDocumentsAreThere also shows that the pages they are of can be drawn. With the flag -pictures it
// takes them again.
func TestThePicturesOfTheDocumentsAreThere(t *testing.T) {
	t.Parallel()
	s := newPictureSite(t)
	c := &camera{tab: newTab(t)}
	command(c.tab, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "UTC"})
	command(c.tab, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	})
	command(c.tab, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: stopClock})
	c.colours("light")
	c.open(s.page("/ui/"))
	c.take("login", 760, 400, "Password")
	c.login(admin, "a wrong password 4")
	c.sees("Cannot complete login")
	c.login(admin, password)
	c.at("/ui/sessions")
	c.wait("document.querySelector('tr.own [data-label=Calls]').innerText == '2'") // the page itself is the second
	c.take("sessions", 1200, 1080, "Sessions: 15 of 15. Users: 6.", "The list is kept up to date.")
	c.colours("dark")
	c.take("sessions-dark", 1200, 1080)
	c.colours("light")
	c.take("narrow", 360, 1100)
	c.open(s.page("/ui/sessions?group=user"))
	c.take("groups", 1200, 600, "Groups, the largest first", "The list is kept up to date.")
	c.open(s.page("/ui/sessions?client=backup-agent%2F12.1"))
	c.click("button[value=all]")
	c.take("end", 1200, 480, "End sessions: 6. Their users: 1.")
	c.click("button.danger")
	c.sees("Ended: 6")
	c.open(s.page("/ui/events"))
	c.take("events", 1200, 720, "svc-backup", "The list is kept up to date.")
	c.open(s.page("/ui/users"))
	c.take("users", 1200, 620, "Ben Okafor")
	front := newTab(t)
	front.open("https://" + s.Front().String() + "/ui/")
	front.login(admin, password)
	front.at("/ui/sessions")
	c.open(s.page("/ui/upstreams"))
	c.take("upstreams", 1200, 620, s.Inventory().URL.Host)

	docs, err := os.ReadFile(pictureDocs)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range c.taken {
		if !strings.Contains(string(docs), "](images/"+file+")") {
			t.Errorf("%s does not show %s", pictureDocs, file)
		}
	}
	there, err := filepath.Glob(filepath.Join(pictureDir, "console-*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range there {
		there[i] = filepath.Base(file)
	}
	slices.Sort(c.taken)
	if !slices.Equal(there, c.taken) {
		t.Errorf("%s has %q, want %q: run the test with -pictures", pictureDir, there, c.taken)
	}
}

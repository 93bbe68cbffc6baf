package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

func TestNamesOfStrangersAreTexts(t *testing.T) {
	t.Parallel()
	const script = `"><script>document.title='taken'</script><img src=x onerror="document.title='taken'">`
	s := newSite(t, func(o *lab.Options) {
		o.Users = append(o.Users, lab.User{Name: "mallory", Password: secret.New(password), FullName: script,
			Role: "ReadOnly"})
	})
	b := s.enter(warden)
	b.sees("The list is kept up to date.")
	s.start("mallory", script)
	b.sees(script)
	for _, path := range []string{"/ui/sessions", "/ui/sessions?group=client", "/ui/sessions?q=%3Cscript"} {
		b.open(s.page(path))
		b.sees(script)
		if found := evaluate[int](b, `document.querySelectorAll("body script, img").length`); found != 0 {
			t.Errorf("%s: %d elements of a stranger", path, found)
		}
	}
	b.open(s.page("/ui/sessions"))
	b.click("button[value=all]")
	b.sees(script, "End sessions: 1.")
	if evaluate[string](b, "document.title") == "taken" {
		t.Error("a script of a stranger has run")
	}
}

// trap is a server of another origin, whose page tries to use the console.
func trap(t *testing.T, html string) *httptest.Server {
	t.Helper()
	x := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, html)
	}))
	t.Cleanup(x.Close)
	return x
}

// hosts are names of this machine. The first is that of the console: its cookies are sent along.
var hosts = []string{"127.0.0.1", "localhost"}

func TestAPageOfAnotherOriginCanNotSendForms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	victim := s.start(robot, "victim/1")
	b := s.enter(warden)
	token := evaluate[string](b, "document.querySelector('input[name=token]').value")
	form := func(path string, fields ...string) string {
		text := `<form method="post" action="` + s.page(path) + `">`
		for i := 0; i < len(fields); i += 2 {
			text += `<input type="hidden" name="` + fields[i] + `" value="` + fields[i+1] + `">`
		}
		return text + `</form><script>document.forms[0].submit()</script>`
	}
	for name, html := range map[string]string{
		// Even with the token, which other pages can't know.
		"end": form("/ui/sessions/end", "token", token, "yes", "1", "scope", "chosen", "key", victim.key,
			"asked", "1", "count", "1"),
		"end all": form("/ui/sessions/end", "token", token, "scope", "all"),
		"log out": form("/ui/logout", "token", token),
		"log in":  form("/ui/login", "user", robot, "password", password),
	} {
		x := trap(t, html)
		for _, host := range hosts {
			b.open(strings.Replace(x.URL, "127.0.0.1", host, 1))
			b.wait("location.origin == " + quote(s.origin()))
			b.sees("A page of another origin may not use this one.")
			if s.live(robot) != 1 || s.live(warden) != 1 {
				t.Fatalf("%s from %s: sessions of the robot: %d, of the user: %d", name, host, s.live(robot),
					s.live(warden))
			}
		}
	}
	b.open(s.page("/ui/sessions"))
	b.sees("Wanda Warden", "victim/1")
}

func TestAPageOfAnotherOriginCanNotShowOrReadTheConsole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.enter(warden)
	b.quiet = true // the browser says that it refuses
	address := quote(s.page("/ui/sessions"))
	icon := evaluate[string](b, "JSON.stringify(document.querySelector('link[rel=icon]').href)")
	x := trap(t, `<iframe src=`+address+`></iframe>
		<script>
		window.outcome = [];
		const note = (how, p) => p.then(() => outcome.push(how + " works"), () => outcome.push(how + " fails"));
		const load = (e) => new Promise((yes, no) => { e.onload = yes; e.onerror = no; document.body?.append(e); });
		onload = () => {
			note("fetch", fetch(`+address+`, {credentials: "include", mode: "no-cors"}));
			note("read", fetch(`+address+`, {credentials: "include"}));
			note("script", load(Object.assign(document.createElement("script"), {src: `+address+`})));
			note("picture", load(Object.assign(document.createElement("img"), {src: `+icon+`})));
		};
		</script>`)
	for _, host := range hosts {
		b.open(strings.Replace(x.URL, "127.0.0.1", host, 1))
		b.wait("window.outcome?.length == 4") // after the frame has loaded
		for _, o := range evaluate[[]string](b, "outcome") {
			if !strings.HasSuffix(o, "fails") {
				t.Errorf("from %s: %s", host, o)
			}
		}
		refused := func(w string) bool { return strings.Contains(w, "frame-ancestors 'none'") }
		if said := b.complaints(); !slices.ContainsFunc(said, refused) {
			t.Errorf("from %s: the browser shows a frame: %q", host, said)
		}
	}
}

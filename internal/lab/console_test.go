package lab

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/secret"
)

// page requests a page, with a form if it is not nil, and returns the answer and its text.
func page(
	t *testing.T, c *http.Client, target string, form url.Values, cookies []*http.Cookie,
) (*http.Response, string) {
	t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, k := range cookies {
		r.AddCookie(k)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func browser(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func TestTheServerAndItsFrontHaveConsolesOfTheirOwn(t *testing.T) {
	t.Parallel()
	const password = "password of the lab"
	model, err := NewModel(VCenter)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), Options{AdminPassword: secret.New(password), Inventory: &model})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := browser(t)
	var cookies []*http.Cookie
	roots := []string{"https://" + s.Addr().String(), "https://" + s.Front().String()}
	for i, root := range roots {
		if res, _ := page(t, c, root+"/ui", nil, nil); res.Header.Get("Location") != "/ui/" {
			t.Errorf("%s/ui: %s", root, res.Status)
		}
		res, text := page(t, c, root+"/ui/login", url.Values{"user": {Administrator}, "password": {password}}, nil)
		if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) != 1 {
			t.Fatalf("login at %s: %s %s", root, res.Status, text)
		}
		cookies = append(cookies, res.Cookies()...)
		if want := []string{"__Host-vigate-ui", "__Host-vigate-ui-" + frontName}[i]; cookies[i].Name != want {
			t.Errorf("the cookie is %s", cookies[i].Name)
		}
	}
	// A browser sends both cookies to both ports.
	for i, root := range roots {
		res, text := page(t, c, root+"/ui/sessions", nil, cookies)
		if res.StatusCode != http.StatusOK || !strings.Contains(text, "Sessions: 1 of 1. Users: 1.") ||
			strings.Contains(text, "<td data-label=\"Account\">admin</td>") != (i == 1) {
			t.Errorf("%s: %s %s", root, res.Status, text)
		}
	}
	for i, root := range roots {
		stolen := &http.Cookie{Name: cookies[i].Name, Value: cookies[1-i].Value}
		res, _ := page(t, c, root+"/ui/sessions", nil, []*http.Cookie{stolen})
		if res.StatusCode != http.StatusSeeOther {
			t.Errorf("%s takes a session of the other: %s", root, res.Status)
		}
	}
}

func TestTheConsoleCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{
		AdminPassword: secret.New("password of the lab"), Configure: func(c *config.Config) { c.Console = false },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, path := range []string{"/ui/", "/ui/login"} {
		res, _ := page(t, browser(t), "https://"+s.Addr().String()+path, nil, nil)
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

package welcome_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/welcome"
)

func mounted(more ...welcome.Service) *http.ServeMux {
	mux := http.NewServeMux()
	welcome.Mount(mux, more...)
	return mux
}

func TestThePageNamesEveryServiceAndLinksWhatABrowserCanOpen(t *testing.T) {
	t.Parallel()
	console := welcome.Service{Path: "/ui/", Link: true, Text: "see & end sessions"}
	w := httptest.NewRecorder()
	mounted(console).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	body := w.Body.String()
	if w.Code != http.StatusOK || !strings.Contains(body, "see &amp; end sessions") {
		t.Errorf("%d\n%s", w.Code, body)
	}
	for _, s := range append(welcome.Services, console) {
		want := "<code>" + s.Path + "</code>"
		if s.Link {
			want = `<a href="` + s.Path + `">` + s.Path + "</a>"
		}
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
}

func TestOnlyThePathAndItsMethodsAreServed(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]int{
		"GET /": 200, "HEAD /": 200, "POST /": 405, "GET /index.html": 404, "GET /other/": 404, "GET /?a=b": 200,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		mounted().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", request, w.Code, want)
		}
	}
}

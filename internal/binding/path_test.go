package binding_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vigate/vigate/internal/binding"
)

func TestSeveralSlashesAtTheBeginningOfAPathCountAsOne(t *testing.T) {
	var path, escaped string
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		path, escaped = r.URL.Path,
			r.URL.EscapedPath()
	})
	h := binding.OneSlash(mux)
	for target, want := range map[string][2]string{
		"/sdk":              {"/sdk", "/sdk"},
		"//sdk":             {"/sdk", "/sdk"},
		"///sdk/webService": {"/sdk/webService", "/sdk/webService"},
		"//":                {"/", "/"},
		"//sdk%2Fa":         {"/sdk/a", "/sdk%2Fa"},
		"//a/%2F":           {"/a//", "/a/%2F"},
	} {
		path, escaped = "", ""
		r := httptest.NewRequest("POST", "https://localhost"+target, nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || path != want[0] || escaped != want[1] {
			t.Errorf("%s: %d %q %q, want %q", target, w.Code, path, escaped, want)
		}
		if r.URL.EscapedPath() != target || r.RequestURI != target {
			t.Errorf("%s: the request itself is changed to %s", target, r.URL)
		}
	}
	// Paths that need other cleaning are left to the ServeMux.
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/sdk//vimService", nil))
	if w.Code != http.StatusTemporaryRedirect {
		t.Errorf("%d", w.Code)
	}
}

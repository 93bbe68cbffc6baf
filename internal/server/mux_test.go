package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/vigate/vigate/internal/peer"
)

// named is a handler that says which it is.
type named string

func (n named) Serve(_ context.Context, w http.ResponseWriter, r *http.Request, from *peer.Peer) {
	http.Error(w, string(n)+" "+from.Address, http.StatusTeapot)
}

func newTestMux() *Mux {
	m := NewMux()
	m.HandleTree("/sdk/vim25/", named("tree"))
	m.HandleTree("/other/", named("other"))
	for _, path := range []string{"/sdk", "/sdk/", "/sdk/vimService", "/sdk/vim25/own", "/api/session"} {
		m.Handle(path, named(path))
	}
	return m
}

func TestAPathIsServedByItsOwnHandlerOrItsTrees(t *testing.T) {
	m := newTestMux()
	for target, want := range map[string]string{
		"/sdk": "/sdk", "/sdk/": "/sdk/", "/sdk/vimService": "/sdk/vimService", "/api/session?x=%2F": "/api/session",
		"/sdk/vim25/": "tree", "/sdk/vim25/own": "/sdk/vim25/own", "/sdk/vim25/8.0.1.0/Folder/group-d1/name": "tree",
		"/sdk/vim25/a%2Fb": "tree", "/sdk/vim25/a%20b": "tree", "/sdk/vim25/.hidden": "tree", "/s%64k": "/sdk", "/other/x/": "other",
	} {
		w := httptest.NewRecorder()
		m.Serve(t.Context(), w, httptest.NewRequest("POST", target, nil), &peer.Peer{Address: "192.0.2.1"})
		if w.Code != http.StatusTeapot || w.Body.String() != want+" 192.0.2.1\n" {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
}

func TestNothingIsServedBesideThePathsAndUncleanOnesAreSentToCleanOnes(t *testing.T) {
	m := newTestMux()
	for target, want := range map[string]string{ // to where; empty: nothing is there
		"/": "", "/sdk/x": "", "/sdk/vimService/": "", "/api/session/": "", "/api": "", "/sdk/vim25x/": "", "/SDK": "",
		"/sdk/vim25": "/sdk/vim25/", "/sdk//vim25/a": "/sdk/vim25/a", "/sdk/vim25/../vimService": "/sdk/vimService",
		"/sdk/vim25/./a": "/sdk/vim25/a", "/sdk/vim25/a/..": "/sdk/vim25/", "//sdk": "/sdk", "/x/../sdk/": "/sdk/",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/", nil)
		r.URL = &url.URL{Path: target}
		m.Serve(t.Context(), w, r, &peer.Peer{})
		status := http.StatusTemporaryRedirect
		if want == "" {
			status = http.StatusNotFound
		}
		if w.Code != status || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %d to %q", target, w.Code, w.Header().Get("Location"), status, want)
		}
	}
}

func TestWhatIsNoPlainPathCanNotBeHandled(t *testing.T) {
	for _, path := range []string{"", "sdk", "/a//b", "/a/../b", "/.a", "/{x}", "/a b", "/a%20b", "GET /a", "/ä", "/sdk"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is handled", path)
				}
			}()
			newTestMux().Handle(path, named("x"))
		}()
	}
	for _, prefix := range []string{"/tree", "/sdk/vim25/below/", "/sdk/", "/", "/sdk/vim25/"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("the tree %q is handled", prefix)
				}
			}()
			newTestMux().HandleTree(prefix, named("x"))
		}()
	}
}

// FuzzTheQuickWayFindsWhatTheServeMuxFinds gives both the paths that a client
// can send.
func FuzzTheQuickWayFindsWhatTheServeMuxFinds(f *testing.F) {
	for _, s := range []string{
		"/sdk", "/sdk/", "/sdk/vim25/8.0.1.0/A/b/c", "/sdk/vim25/%2e%2e/x", "/sdk/vim25/..%2fx", "/sdk/vim25/a//b", "/sdk/vim25/a/.", "/sdk/vim25/%41",
		"/sdk/vim25/a%2Fb", "/sdk/vim25/é", "/sdk/vim25/a b", "*", "http://h/sdk", "//sdk/vim25/a", "/sdk/vim25/...", "/sdk/vim25/a;b", "/sdk/vim25/own",
	} {
		f.Add("GET", s)
		f.Add("CONNECT", s)
	}
	m := newTestMux()
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Host: "h", RequestURI: target, Header: http.Header{}}
		quick := m.find(r)
		if quick == nil {
			return
		}
		h, _ := m.all.Handler(r)
		if slow, ok := h.(known); !ok || slow.Handler != quick {
			t.Errorf("%s %q: %v, by the ServeMux %v", method, target, quick, h)
		}
	})
}

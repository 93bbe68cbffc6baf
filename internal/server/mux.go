package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/vigate/vigate/internal/peer"
)

// Mux hands each request to the handler of its path. It decides as an
// [http.ServeMux] does with the same paths, redirects to clean paths and 404
// included; what most clients send is found without that one's work.
type Mux struct {
	paths map[string]peer.Handler
	trees []tree
	all   *http.ServeMux // knows all of them, and what becomes of the rest
}

// tree is all paths below a prefix.
type tree struct {
	prefix  string // ends with /
	handler peer.Handler
}

// known is a handler in the ServeMux, which is only asked which it is.
type known struct{ peer.Handler }

// ServeHTTP is for a request whose other end nobody knows.
func (k known) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.Serve(r.Context(), w, r, &peer.Peer{})
}

// NewMux makes one without handlers.
func NewMux() *Mux {
	return &Mux{paths: map[string]peer.Handler{}, all: http.NewServeMux()}
}

// Handle has h serve the path, and only it. Paths are plain: clean, without
// anything that is escaped in a URL, no patterns. One that is there already, or
// isn't plain, is a mistake of the program, and panics.
func (m *Mux) Handle(path string, h peer.Handler) {
	mustBePlain(path)
	pattern := path
	if strings.HasSuffix(path, "/") {
		pattern += "{$}"
	}
	m.all.Handle(pattern, known{h})
	m.paths[path] = h
}

// HandleTree has h serve all that is below the prefix, which ends with a slash,
// and has no handler of its own.
func (m *Mux) HandleTree(prefix string, h peer.Handler) {
	mustBePlain(prefix)
	if !strings.HasSuffix(prefix, "/") {
		panic("server: handle tree " + prefix + ": no slash at the end")
	}
	for _, t := range m.trees {
		if strings.HasPrefix(t.prefix, prefix) || strings.HasPrefix(prefix, t.prefix) {
			panic("server: handle tree " + prefix + ": overlaps " + t.prefix)
		}
	}
	m.all.Handle(prefix, known{h})
	m.trees = append(m.trees, tree{prefix, h})
}

func mustBePlain(path string) {
	for i := range len(path) {
		c := path[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/-_.", rune(c)) {
			panic("server: handle " + path + ": not a plain path")
		}
	}
	if !strings.HasPrefix(path, "/") || unclean(path) {
		panic("server: handle " + path + ": not a clean path")
	}
}

// unclean: the path might have empty or dot segments.
func unclean(path string) bool {
	return strings.Contains(path, "//") || strings.Contains(path, "/.")
}

// Serve is for [peer.Handler].
func (m *Mux) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, from *peer.Peer) {
	if h := m.find(r); h != nil {
		h.Serve(ctx, w, r, from)
		return
	}
	h, _ := m.all.Handler(r)
	if ours, ok := h.(known); ok {
		ours.Serve(ctx, w, r, from)
		return
	}
	m.all.ServeHTTP(w, r)
}

// find is the quick way to what the ServeMux would find, nil where only that
// one knows. Where there is no RawPath, nothing in the path needs a second look:
// no slash and no dot was escaped.
func (m *Mux) find(r *http.Request) peer.Handler {
	path := r.URL.Path
	if r.URL.RawPath != "" || r.Method == http.MethodConnect {
		return nil
	}
	if h := m.paths[path]; h != nil {
		return h
	}
	for _, t := range m.trees {
		if strings.HasPrefix(path, t.prefix) && !unclean(path) {
			return t.handler
		}
	}
	return nil
}

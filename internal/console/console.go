package console

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/console/page"
	"github.com/vigate/vigate/internal/vim"
)

// Options are the surroundings of a Console. API and Bodies are required.
type Options struct {
	API *vim.API
	// Bodies bounds the memory of requests. All bindings must share it.
	Bodies *binding.Bodies
	// Front is the name of the front, or empty for the server itself.
	Front string
	// Kerberos is set if logins by Kerberos are possible.
	Kerberos bool
	// Providers are the issuers at which browsers can log in.
	Providers []Provider
	Sections  []Section
	Logger    *slog.Logger // if nil, slog.Default
}

// Section is an entry of the navigation, and the pages behind it.
type Section struct {
	Name  string // the first element of the paths of its pages below /ui/
	Title string // key of the text in the navigation
	// Needs is the row that the caller must be allowed to use, so that the section is offered.
	Needs     Row
	Templates *page.Set
	// Pages are its pages by pattern of an http.ServeMux. The path in the pattern is that below /ui/, such as
	// "GET sessions" or "POST sessions/end". The page at GET Name is the one to which the navigation leads.
	Pages map[string]Page
	// Streams are pages that stay open, such as server-sent events. Each counts as a waiting call of its session.
	Streams map[string]Page
}

// Page answers a request. If it returns an error, it has not answered.
type Page func(*Request) error

// Row names a method of a managed object, or a property if Method is not set.
type Row struct {
	Type, Name string
	Method     bool
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	Options
	mux    *http.ServeMux
	shared *page.Set
	origin *http.CrossOriginProtection
}

// Root is the path below which everything is served.
const Root = "/ui/"

// New creates a Console.
func New(o Options) *Console {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	c := &Console{
		Options: o, mux: http.NewServeMux(), shared: page.Parse(nil), origin: http.NewCrossOriginProtection(),
	}
	c.handle("GET {$}", route{name: "home", page: (*Request).home})
	c.handle("GET login", route{name: "login", page: (*Request).loginPage, open: true})
	c.handle("POST login", route{name: "login", page: (*Request).login, open: true})
	if o.Kerberos {
		c.handle("POST login/kerberos", route{name: "login", page: (*Request).loginKerberos, open: true})
	}
	if len(o.Providers) > 0 {
		c.handle("GET login/oidc/{provider}", route{name: "login", page: (*Request).toProvider, open: true})
		c.handle("GET login/oidc/callback", route{name: "login", page: (*Request).fromProvider, open: true})
	}
	c.handle("POST logout", route{name: "logout", page: (*Request).logout})
	for i := range o.Sections {
		s := &c.Sections[i]
		for pattern, p := range s.Pages {
			c.handle(pattern, route{name: s.Name, section: s, page: p})
		}
		for pattern, p := range s.Streams {
			c.handle(pattern, route{name: s.Name + " stream", section: s, page: p, stream: true})
		}
	}
	c.mux.HandleFunc(Root, c.nothing)
	c.mux.HandleFunc(strings.TrimSuffix(Root, "/"), c.nothing)
	return c
}

// Serves reports whether a path of a URL belongs to the console.
func Serves(path string) bool {
	return path == strings.TrimSuffix(Root, "/") || strings.HasPrefix(path, Root)
}

// route is a page and how a request for it is admitted.
type route struct {
	name    string // in metrics
	section *Section
	page    Page
	open    bool // no session is needed
	stream  bool // it stays open
}

// handle adds a page. pattern has a method and a path below Root.
func (c *Console) handle(pattern string, to route) {
	method, path, _ := strings.Cut(pattern, " ")
	c.mux.HandleFunc(method+" "+Root+path, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, to) })
}

// ServeHTTP serves one request.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && page.ServeStatic(w, r) {
		return
	}
	c.mux.ServeHTTP(w, r)
}

// nothing answers a request for a path without a page.
func (c *Console) nothing(w http.ResponseWriter, r *http.Request) {
	x := c.request(w, r, route{})
	if r.URL.Path+"/" == Root {
		x.redirect(Root)
		return
	}
	x.problem(http.StatusNotFound, "console.notfound")
}

// refused reports whether a browser sent a request for another site or origin, and not because a user has followed a
// link. Such a request may be a part of a page that wants to learn something of this one.
func refused(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	return !isRead || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// setHeaders sets the headers of every answer. No page may be stored, framed or opened by another origin.
func setHeaders(h http.Header) {
	for name, value := range map[string]string{
		"Content-Type":                 contentHTML,
		"Cache-Control":                "no-store",
		"X-Frame-Options":              "DENY",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
		"Content-Security-Policy":      fmt.Sprintf(policy, "'none'"),
	} {
		h.Set(name, value)
	}
}

// policy is the Content-Security-Policy. Of styles and scripts, only the files with the nonce are used: on a front,
// other files of the same origin come from datastores.
const policy = "default-src 'none'; script-src %s; style-src %[1]s; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

const contentHTML = "text/html; charset=utf-8"

// write writes a whole page.
func (x *Request) write(set *page.Set, status int, template string, d *page.Data) {
	var b bytes.Buffer
	if err := set.Page(&b, template, d); err != nil {
		x.console.Logger.Error("a page of the console can't be written", "template", template, "err", err)
		http.Error(x.w, "internal error", http.StatusInternalServerError)
		return
	}
	h := x.w.Header()
	h.Set("Content-Type", contentHTML)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead && errors.Is(x.send(b.Bytes()), errUnwanted) {
		panic(http.ErrAbortHandler) // the client must not mistake the part for the whole
	}
}

// pieceSize is how many bytes of an answer are sent between two checks whether it is still wanted.
const pieceSize = 32 << 10

// errUnwanted ends an answer that the client must not get the rest of, because its session has ended.
var errUnwanted = errors.New("the answer is not wanted any more")

// send sends a part of the body, a long one in pieces. Any error but errUnwanted means that the client has gone.
func (x *Request) send(b []byte) error {
	for len(b) > pieceSize {
		if _, err := x.w.Write(b[:pieceSize]); err != nil {
			return err
		}
		b = b[pieceSize:]
		if x.console.API.Wanted(x.Context(), &x.call) != nil {
			return errUnwanted
		}
	}
	_, err := x.w.Write(b)
	return err
}

// Package page makes the HTML of the console: the layout around every page, the style sheet, the script and the
// icon, all of them part of the program. [Parse] adds the templates of a section to the shared ones, and the
// result writes pages and parts of pages.
//
// Templates get a [Data], whose Body is what the page itself shows. Texts come from package locale by their keys,
// in the language of the Data. The package knows no requests, sessions or calls.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/locale"
)

//go:embed templates static
var files embed.FS

// Link is an entry of the navigation.
type Link struct {
	Path, Text string
	Current    bool // it leads to the section of the page
}

// Data is what a template gets.
type Data struct {
	Locale string // of the texts
	Title  string
	Front  string // name of the front; empty for the server itself
	Nonce  string // of the answer's Content-Security-Policy
	User   string // who is logged in; empty: nobody
	Own    string // key of the session
	Nav    []Link
	// Message is the service message of the server.
	Message string
	// Left is how long the session lives if it is not used again; 0: not known.
	Left time.Duration
	// Token proves that a form was made for the session, or on the page of the login for the browser.
	Token string
	Body  any
}

// T returns the text with the key, in the language of the page.
func (d *Data) T(key string, args ...any) string { return locale.Text(d.Locale, key, args...) }

// Lang returns the language of the page as HTML names it.
func (d *Data) Lang() string { return strings.ReplaceAll(d.Locale, "_", "-") }

// Span writes a duration with the symbols of the SI, which are the same in every language.
func Span(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	const day = 24 * time.Hour
	two := func(big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
		text := fmt.Sprintf("%d %s", d/big, bigUnit)
		if rest := d % big / small; rest > 0 {
			text += fmt.Sprintf(" %d %s", rest, smallUnit)
		}
		return text
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return two(time.Hour, "h", time.Minute, "min")
	}
	return two(day, "d", time.Hour, "h")
}

// Count writes a number with narrow spaces between groups of three digits, as ISO 80000-1 does.
func Count[T ~int | ~int32 | ~int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

func count(n any) (string, error) {
	switch n := n.(type) {
	case int:
		return Count(n), nil
	case int32:
		return Count(n), nil
	case int64:
		return Count(n), nil
	}
	return "", fmt.Errorf("%T is not a number", n)
}

// functions are what templates can call besides the methods of their data.
var functions = template.FuncMap{
	"asset": assetPath, "count": count, "span": Span,
	"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"seconds": func(d time.Duration) int64 { return int64(d / time.Second) },
}

var shared = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/*.html"))
})

// Set are the templates of a section, and the shared ones.
type Set struct{ t *template.Template }

// Parse parses the templates of a section. They are part of the program, so it panics on a mistake.
func Parse(from fs.FS, patterns ...string) *Set {
	t := template.Must(shared().Clone())
	if from != nil {
		t = template.Must(t.ParseFS(from, patterns...))
	}
	return &Set{t}
}

// Part writes one template, for the middle of a page.
func (s *Set) Part(w io.Writer, name string, d *Data) error { return s.t.ExecuteTemplate(w, name, d) }

// Page writes a whole page around the template.
func (s *Set) Page(w io.Writer, name string, d *Data) error {
	for _, part := range []string{"top", name, "bottom"} {
		if err := s.Part(w, part, d); err != nil {
			return err
		}
	}
	return nil
}

// StaticPath is the path below which the style sheet, the script and the icon are served. The element after it is
// a hash of all of them, so that a browser may keep them.
const StaticPath = "/ui/static/"

// version is a hash of the files in the directory static.
var version = sync.OnceValue(func() string {
	h := sha256.New()
	for _, name := range assetNames() {
		b, err := files.ReadFile("static/" + name)
		if err != nil {
			panic(fmt.Sprintf("read embedded file: %v", err))
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
})

func assetNames() []string {
	all, err := files.ReadDir("static")
	if err != nil {
		panic(fmt.Sprintf("read embedded directory: %v", err))
	}
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.Name()
	}
	return names
}

func assetPath(name string) string { return StaticPath + version() + "/" + name }

// contentTypes are those of the files in the directory static, by the end of the name.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// ServeStatic serves a path below StaticPath. It reports false if there is nothing there.
func ServeStatic(w http.ResponseWriter, r *http.Request) bool {
	name, ok := strings.CutPrefix(r.URL.Path, StaticPath+version()+"/")
	if !ok || strings.Contains(name, "/") || contentTypes[path.Ext(name)] == "" {
		return false
	}
	b, err := files.ReadFile("static/" + name)
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", contentTypes[path.Ext(name)])
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // an error means that the client has disconnected
	}
	return true
}

// Package link rewrites the URLs of one server into those of another, in text of any kind: in answers
// the URLs of an upstream become those of its front, and in requests those of the front become the
// upstream's.
//
// A [Rewriter] finds URLs by their scheme and authority, whatever surrounds them: XML, JSON with or
// without escaped slashes, or HTML. It knows none of these formats, so it changes no other byte, and a
// text of any length passes as a stream.
package link

import (
	"net/url"
	"strings"
)

// Bounds on the length of a URL. A longer one is not rewritten: no server writes such URLs.
const (
	maxAuthority = 2 << 10
	maxPath      = 512
)

// Rewriter rewrites URLs. It is immutable, and safe for concurrent use.
type Rewriter struct {
	from   []origin
	scheme string // of the new URLs, http or https
	host   string // of the new URLs, with the port
	serves func(path string) bool
}

// origin is an authority of the server whose URLs are rewritten.
type origin struct {
	host string // without a dot at the end
	port string
}

// New returns a Rewriter of URLs whose authority is that of one of from, and whose path the function
// serves allows. User information in front of such an authority is removed, even if the path is not
// served. A URL without a port belongs to the server whatever its port is.
//
// The host "*" in from stands for the name by which a client knows the server. Clients replace it
// themselves, so such a URL is rewritten only if they would get another scheme or port.
func New(from []*url.URL, to *url.URL, serves func(path string) bool) *Rewriter {
	r := &Rewriter{scheme: to.Scheme, host: to.Host, serves: serves}
	for _, u := range from {
		r.from = append(r.from, origin{strings.TrimSuffix(u.Hostname(), "."), portOf(u)})
	}
	return r
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return defaultPort(u.Scheme)
}

func defaultPort(scheme string) string {
	if strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "ws") {
		return "80"
	}
	return "443"
}

// Text rewrites a text that is short, such as the value of a header.
func (r *Rewriter) Text(s string) string {
	if !strings.Contains(s, ":/") && !strings.Contains(s, `:\/`) {
		return s
	}
	return string(r.Bytes([]byte(s)))
}

// Bytes rewrites a text in memory. It returns the same slice if nothing changes.
func (r *Rewriter) Bytes(b []byte) []byte {
	if out, _ := r.rewrite(nil, b, 0, true); out != nil {
		return out
	}
	return b
}

// rewrite rewrites the URLs in the text. It returns the number of bytes that it has processed, and their new text,
// which it appends to out. out must be empty. The result is nil if nothing changes, as in most texts, so that these
// are not copied. The rest of the text may be the beginning of a URL. before is the byte in front of the text. final
// is set if no more text follows.
func (r *Rewriter) rewrite(out, text []byte, before byte, final bool) ([]byte, int) {
	done, at := 0, 0
	until := func(end int) ([]byte, int) {
		if done == 0 { // no URL ends at the beginning of a text
			return nil, end
		}
		return append(out, text[done:end]...), end
	}
	for {
		colon := nextColon(text, at)
		if colon < 0 {
			break
		}
		at = colon + 1
		start := schemeStart(text[done:colon]) + done
		if start == colon || wordBefore(text, start, before) {
			continue
		}
		f, complete := locate(text, start, colon)
		if !complete && !final {
			return until(start)
		}
		if len(f.name) == 0 {
			continue
		}
		next, served, ok := r.judge(text, &f, final)
		if !ok {
			return until(start)
		}
		at = f.end
		if next == nil {
			continue
		}
		out = append(out, text[done:start]...)
		if served {
			out = append(out, next.scheme...)
		} else {
			out = append(out, text[start:colon]...)
		}
		out = append(out, text[colon:f.authority]...)
		if served {
			out = append(out, next.host...)
		} else {
			out = append(out, text[f.host:f.end]...)
		}
		done = f.end
	}
	if final {
		return until(len(text))
	}
	return until(max(done, held(text)))
}

// replacement is what a URL begins with instead.
type replacement struct{ scheme, host string }

// judge decides what becomes of a URL. ok is false if the text ends before that is known.
func (r *Rewriter) judge(text []byte, f *found, final bool) (next *replacement, served, ok bool) {
	o := r.match(f)
	if o == nil {
		return nil, false, true
	}
	path, complete := pathOf(text[f.end:])
	if !complete && !final {
		return nil, false, false
	}
	to := replacement{r.scheme, r.host}
	scheme := string(text[f.scheme:f.colon])
	if scheme[0]|0x20 == 'w' {
		to.scheme = "ws" + strings.TrimPrefix(r.scheme, "http")
	}
	same := strings.EqualFold(scheme, to.scheme)
	if same {
		to.scheme = scheme
	}
	plain := f.host == f.authority
	switch {
	case !r.serves(path):
		if plain {
			return nil, false, true
		}
		return &to, false, true
	case o.host == "*" && same && plain && len(f.port) == 0:
		return nil, false, true
	case same && plain && string(text[f.authority:f.end]) == to.host:
		return nil, false, true
	}
	return &to, true, true
}

// match returns the origin that a URL has, or nil.
func (r *Rewriter) match(f *found) *origin {
	for i := range r.from {
		o := &r.from[i]
		if strings.EqualFold(o.host, string(f.name)) &&
			(len(f.port) == 0 || string(f.port) == o.port || o.host == "*") {
			return o
		}
	}
	return nil
}

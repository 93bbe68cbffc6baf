// Package hop separates the two connections of a request that passes through: that of the client, and that to
// the upstream. It decides which headers go from one to the other.
//
// Credentials never do, in either direction, and neither does what is about one connection only. Everything else
// passes unchanged.
package hop

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
)

// dropped are headers of requests that don't reach the upstream: the client's credentials, what concerns only
// the connection of the client, and what the transport sets itself.
var dropped = map[string]bool{
	"Cookie": true, "Authorization": true, "Vmware-Api-Session-Id": true, "Accept-Encoding": true,
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Content-Length": true, "Host": true, "Expect": true,
}

// Request returns the headers with which a request goes to the upstream.
func Request(from http.Header) http.Header {
	h := make(http.Header, len(from)+1)
	for name, values := range from {
		if !dropped[name] {
			h[name] = values
		}
	}
	for _, line := range from["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return h
}

type source struct {
	bytes.Reader
	read *atomic.Bool
}

// NewSource returns the body of a request. It sets read when any of it is read, and thus may have been sent.
func NewSource(b []byte, read *atomic.Bool) io.ReadCloser {
	s := &source{read: read}
	s.Reset(b)
	return s
}

func (s *source) Read(p []byte) (int, error) {
	s.read.Store(true)
	return s.Reader.Read(p)
}

// WriteTo implements io.WriterTo.
func (s *source) WriteTo(w io.Writer) (int64, error) {
	s.read.Store(true)
	return s.Reader.WriteTo(w)
}

// Close implements io.Closer.
func (s *source) Close() error { return nil }

// kept are headers of answers that don't reach a client.
var kept = map[string]bool{
	"Set-Cookie": true, "Vmware-Api-Session-Id": true, "Content-Length": true, "Connection": true,
	"Keep-Alive": true, "Proxy-Authenticate": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Www-Authenticate": true,
}

// Answer returns the headers of an answer for the client. clean is called for each value, and returns what the
// client may see of it.
func Answer(from http.Header, clean func(string) string) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		if kept[name] {
			continue
		}
		all := make([]string, len(values))
		for i, v := range values {
			all[i] = clean(v)
		}
		h[name] = all
	}
	return h
}

// InUTF8 reports whether the headers say that a message is in UTF-8, or nothing.
func InUTF8(h http.Header) bool {
	for _, t := range h["Content-Type"] {
		if _, params, err := mime.ParseMediaType(t); err == nil {
			if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
				return false
			}
		}
	}
	return true
}

// Printable returns the operation id of a client in the form for the log.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '.'
		}
		return r
	}, s[:min(len(s), 128)])
}

// Package hop separates the two connections of a request that passes through: that of the client, and that to
// the upstream. It decides which headers go from one to the other.
//
// Credentials don't pass in either direction, nor do headers about one connection only. All other headers pass
// unchanged.
package hop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// dropped are the request headers that are not sent to the upstream: the client's credentials, headers about the
// client's connection, headers that the transport sets itself, and headers that claim another sender, host, path or
// method than the request has.
var dropped = map[string]bool{
	"Cookie": true, "Authorization": true, "Vmware-Api-Session-Id": true, "Accept-Encoding": true,
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Content-Length": true, "Host": true, "Expect": true, "Http2-Settings": true,
	"Forwarded": true, "Via": true, "X-Real-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true,
	"True-Client-Ip": true, "Client-Ip": true, "X-Original-Url": true, "X-Rewrite-Url": true, "X-Original-Host": true,
	"X-Host": true, "X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true,
}

// droppedPrefixes begin the names of other such headers.
var droppedPrefixes = []string{"X-Forwarded-", "X-Envoy-", "X-Ssl-", "X-Vmware-Forwarded-"}

// passes reports whether a header of a request reaches the upstream.
func passes(name string) bool {
	if dropped[name] {
		return false
	}
	// A server that passes headers on as variables can't tell an underscore from a hyphen.
	if strings.Contains(name, "_") {
		return false
	}
	return !slices.ContainsFunc(droppedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Request returns the headers with which a request goes to the upstream. token is the client's token, which may be
// empty. A header that contains it is dropped, whatever its name.
func Request(from http.Header, token string) http.Header {
	h := make(http.Header, len(from)+1)
	for name, values := range from {
		if passes(name) && !slices.ContainsFunc(values, func(v string) bool { return Carries(v, token) }) {
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

// Carries reports whether a text contains the token, which may be empty. The token is good at the front alone, so
// it must not become known elsewhere.
func Carries(text, token string) bool { return token != "" && strings.Contains(text, token) }

// Query returns the query of a URL without the parts that contain the client's token, however they are escaped.
func Query(query, token string) string {
	if token == "" || query == "" {
		return query
	}
	parts := strings.Split(query, "&")
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool {
		plain, err := url.QueryUnescape(part)
		return Carries(part, token) || err == nil && Carries(plain, token)
	}), "&")
}

// Body returns the body of a request. The transport knows this type, and so sends a short one together with the
// headers. A server that gets them in two parts has to wait for the second one.
func Body(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// Sending returns the context with which a request is sent. begun becomes true once the headers are written: from
// then on the server may have the request.
func Sending(ctx context.Context, begun *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { begun.Store(true) }})
}

// kept are headers of answers that don't reach a client.
var kept = map[string]bool{
	"Set-Cookie": true, "Vmware-Api-Session-Id": true, "Content-Length": true, "Connection": true,
	"Keep-Alive": true, "Proxy-Authenticate": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Www-Authenticate": true, "Proxy-Authentication-Info": true, "Authentication-Info": true, "Alt-Svc": true,
	"Public-Key-Pins": true, "Clear-Site-Data": true,
}

// Kept reports whether a header of an answer does not reach the client.
func Kept(name string) bool { return kept[name] }

// Answer returns the headers of an answer for the client. clean is called for each value, and returns what the
// client may see of it.
func Answer(from http.Header, clean func(string) string) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		if kept[name] {
			continue
		}
		h[name] = cleaned(values, clean)
	}
	return h
}

// cleaned returns the values, or others if one of them is not clean.
func cleaned(values []string, clean func(string) string) []string {
	all := values
	for i, v := range values {
		c := clean(v)
		if c == v {
			continue
		}
		if &all[0] == &values[0] {
			all = slices.Clone(values)
		}
		all[i] = c
	}
	return all
}

// All reads a whole answer of at most limit bytes.
func All(response *http.Response, limit int64) ([]byte, error) {
	defer func() { _ = response.Body.Close() }() // it was read
	raw, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = errors.New("the answer is too long")
	}
	return raw, err
}

// Encoded reports whether a body is compressed, or has another encoding.
func Encoded(h http.Header) bool {
	return slices.ContainsFunc(h["Content-Encoding"], func(v string) bool {
		return v != "" && !strings.EqualFold(v, "identity")
	})
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

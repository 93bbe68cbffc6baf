package vijson

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

const (
	maxBody = 1 << 20
	// maxName bounds the names in a path, and maxID an object's id, in bytes.
	maxName = 128
	maxID   = 1024

	tokenHeader  = "Vmware-Api-Session-Id" // in the form of http.Header's keys
	tokenCookie  = "vmware_soap_session"
	ticketCookie = "vmware_cgi_ticket"
)

// target is what a path names.
type target struct {
	release vim.Release
	object  types.ManagedObjectReference
	name    string
}

var (
	errPath    = errors.New("the path is not /sdk/vim25/{release}/{type}/{moId}/{name}")
	errRelease = errors.New("the release is not one that is served")
)

// parsePath reads {release}/{type}/{moId}/{name}, escaped as in a URL.
func parsePath(escaped string) (target, error) {
	parts := strings.Split(escaped, "/")
	if len(parts) != 4 {
		return target{}, errPath
	}
	for i, max := range [...]int{maxName, maxName, maxID, maxName} {
		s, err := url.PathUnescape(parts[i])
		if err != nil || s == "" || len(s) > max || !utf8.ValidString(s) || strings.ContainsFunc(s, control) {
			return target{}, errPath
		}
		parts[i] = s
	}
	release, err := parseRelease(parts[0])
	if err != nil {
		return target{}, err
	}
	return target{release, types.ManagedObjectReference{Type: parts[1], Value: parts[2]}, parts[3]}, nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// parseRelease reads a release that is served: every one, with all its four
// numbers, since VI JSON exists.
func parseRelease(s string) (vim.Release, error) {
	release, err := vim.ParseRelease(s)
	if err != nil || strings.Count(s, ".") != 3 || release.Before(vim.FirstRelease) {
		return vim.Release{}, errRelease
	}
	return release, nil
}

// credentials takes the token and the ticket from the request: the token's
// header before its cookie.
func credentials(c *vim.Call, h http.Header) {
	if t := h[tokenHeader]; len(t) > 0 && t[0] != "" {
		c.Token = t[0]
	} else {
		c.Token = cookie(h, tokenCookie)
	}
	c.HTTP.Ticket = cookie(h, ticketCookie)
}

// cookie returns a cookie's value without its quotes, or "". Clients send it
// with or without them, and pyVmomi sends the attributes too, which look like
// cookies here. The first of several counts, as the one with the longest path.
func cookie(h http.Header, name string) string {
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			key, value, ok := strings.Cut(strings.Trim(part, " \t"), "=")
			if !ok || key != name {
				continue
			}
			if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			return value
		}
	}
	return ""
}

var errForeign = errors.New("a browser's request for a page of another origin")

// foreign reports whether a request is to be refused because a page of another
// origin had a browser send it. Such a request may not use the cookies that the
// browser adds, nor call a method at all: a login would plant the page's own
// session in the browser. The header is one that no page can add without this
// server's consent, which is never given.
func foreign(r *http.Request) bool {
	if h := r.Header[tokenHeader]; len(h) > 0 && h[0] != "" || !crossOrigin(r) {
		return false
	}
	return r.Method == http.MethodPost || cookie(r.Header, tokenCookie) != "" || cookie(r.Header, ticketCookie) != ""
}

// crossOrigin goes by what every browser of today says of where a request comes
// from, and for older ones by the origin's host.
func crossOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

// isJSON reports whether the body, by its headers, is JSON as it stands. A
// client need not say so.
func isJSON(h http.Header) bool {
	if e := h["Content-Encoding"]; len(e) > 0 && !(len(e) == 1 && strings.EqualFold(e[0], "identity")) {
		return false
	}
	all := h["Content-Type"]
	if len(all) == 0 {
		return true
	}
	if len(all) > 1 {
		return false
	}
	if all[0] == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(all[0])
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return err == nil && kind == "application/json"
}

// readBody reads the whole body, within its limit.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	tooLarge := &refusal{vim.InvalidRequest("the body is larger than 1 MiB"), http.StatusRequestEntityTooLarge}
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close") // rather than read it to its end
		return nil, tooLarge
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		// What is announced need not come: room for it is made as it does.
		b.Grow(int(min(r.ContentLength, 8<<10)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case err != nil && !errors.Is(err, io.EOF):
		return nil, invalid("the body did not come whole")
	}
	return b.Bytes(), nil
}

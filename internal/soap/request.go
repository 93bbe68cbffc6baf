package soap

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/vigate/vigate/internal/vim"
)

const (
	tokenHeader  = "Vmware-Api-Session-Id" // in the form of http.Header's keys
	tokenCookie  = "vmware_soap_session"
	ticketCookie = "vmware_cgi_ticket"

	// smallBody is what requests have in practice, a token and its signature
	// included, in bytes; larger ones share maxHeld.
	smallBody = 64 << 10
	maxHeld   = 256 << 20
	// maxOperation bounds what the log shows of a client's name for a request.
	maxOperation = 128
)

// credentials takes the token and the ticket from the HTTP header: the token's
// own before its cookie.
func credentials(c *vim.Call, h http.Header) {
	if t := h[tokenHeader]; len(t) > 0 && t[0] != "" {
		c.Token = t[0]
	} else {
		c.Token = cookie(h, tokenCookie)
	}
	c.HTTP.Ticket = cookie(h, ticketCookie)
	if a := h["Authorization"]; len(a) > 0 {
		c.Proof.Authorization = a[0]
	}
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

// foreign reports whether a page of another origin had a browser send the
// request. It may not use the cookies that the browser adds, nor call anything
// else: a login would plant the page's own session in the browser. The token's
// header is one that no page can add without this server's consent, which is
// never given.
func foreign(r *http.Request) bool {
	if h := r.Header[tokenHeader]; len(h) > 0 && h[0] != "" {
		return false
	}
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

// isPlain reports whether the body, by its headers, is text in UTF-8 as it
// stands. What kind of text it is said to be does not matter: scripts with curl
// send envelopes as forms.
func isPlain(h http.Header) bool {
	if e := h["Content-Encoding"]; len(e) > 0 && !(len(e) == 1 && strings.EqualFold(e[0], "identity")) {
		return false
	}
	for _, t := range h["Content-Type"] {
		_, params, err := mime.ParseMediaType(t)
		if charset, ok := params["charset"]; err == nil && ok && !strings.EqualFold(charset, "utf-8") {
			return false
		}
	}
	return true
}

// operationID is the client's name for the request as it goes to the log:
// printable ASCII, cut.
func operationID(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '.'
		}
		return r
	}, s[:min(len(s), maxOperation)])
	return s
}

var (
	errTooLarge = errors.New("the message is larger than 8 MiB")
	errCutShort = errors.New("the message did not come whole")
	errCrowded  = errors.New("the large messages in flight hold too much memory")
)

// bodies reads requests' bodies. Anyone may send one, so that all that are large
// share a bound: as many small ones as there are connections can't fill the
// memory, and large ones are refused before they do.
type bodies struct {
	held atomic.Int64 // bytes of bodies past the first smallBody of each
}

// read reads a whole body. done is called when nothing uses it any more.
func (b *bodies) read(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close") // rather than read it to its end
		return nil, func() {}, errTooLarge
	}
	var held int64
	done = func() { b.held.Add(-held) }
	in := http.MaxBytesReader(w, r.Body, maxBody)
	// What is announced need not come: room for much is made as it does.
	body = make([]byte, 0, min(max(r.ContentLength, 0)+1, smallBody)+511)
	for {
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		var limit *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return body, done, nil
		case errors.As(err, &limit):
			return nil, done, errTooLarge
		case err != nil:
			return nil, done, errCutShort
		}
		if len(body) < cap(body) {
			continue
		}
		more := int64(len(body)) // the room doubles
		if held += more; b.held.Add(more) > maxHeld {
			return nil, done, errCrowded
		}
		body = append(make([]byte, 0, 2*len(body)), body...)
	}
}

package soap

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
)

const (
	maxBody = 8 << 20
	// smallBody is what requests have in practice, a token and its signature
	// included, in bytes; larger ones share maxHeld.
	smallBody = 64 << 10
	maxHeld   = 256 << 20
	// maxOperation bounds what the log shows of a client's name for a request.
	maxOperation = 128
)

// credentials takes the token and the ticket from the HTTP header.
func credentials(c *vim.Call, h http.Header) {
	c.Token = httptoken.Token(h, httptoken.Cookie)
	c.HTTP.Ticket = httptoken.Value(h, httptoken.TicketCookie)
	if a := h["Authorization"]; len(a) > 0 {
		c.Proof.Authorization = a[0]
	}
}

// isPlain reports whether the body, by its headers, is text in UTF-8 as it
// stands. What kind of text it is said to be does not matter: scripts with curl
// send envelopes as forms.
func isPlain(h http.Header) bool {
	if e := h["Content-Encoding"]; len(e) > 0 && !(len(e) == 1 && strings.EqualFold(e[0], "identity")) {
		return false
	}
	for _, t := range h["Content-Type"] {
		switch t {
		case `text/xml; charset="utf-8"`, "text/xml; charset=utf-8", "text/xml; charset=UTF-8":
			continue // what clients send
		}
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

// tooLarge ends the connection, rather than read the body to its end.
func tooLarge(w http.ResponseWriter) error {
	w.Header().Set("Connection", "close")
	return errTooLarge
}

// read reads a whole body. held is for done, when nothing uses the body any
// more, also where there is an error.
func (b *bodies) read(w http.ResponseWriter, r *http.Request) (body []byte, held int64, err error) {
	if r.ContentLength > maxBody {
		return nil, 0, tooLarge(w)
	}
	// What is announced need not come: room for much is made as it does. One
	// byte more takes the end.
	room := int64(512)
	if r.ContentLength >= 0 {
		room = min(r.ContentLength, smallBody) + 1
	}
	body = make([]byte, 0, room)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxBody:
			return nil, held, tooLarge(w)
		case errors.Is(err, io.EOF):
			return body, held, nil
		case err != nil:
			return nil, held, errCutShort
		}
		if len(body) < cap(body) {
			continue
		}
		more := int64(len(body)) // the room doubles
		if held += more; b.held.Add(more) > maxHeld {
			return nil, held, errCrowded
		}
		body = append(make([]byte, 0, 2*len(body)), body...)
	}
}

func (b *bodies) done(held int64) {
	if held > 0 {
		b.held.Add(-held)
	}
}

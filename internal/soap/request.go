package soap

import (
	"mime"
	"net/http"
	"strings"

	"github.com/vigate/vigate/internal/binding"
)

const maxBody = 8 << 20

// isPlain reports whether the body, by its headers, is text in UTF-8 as it
// stands. What kind of text it is said to be does not matter: scripts with curl
// send envelopes as forms.
func isPlain(h http.Header) bool {
	if binding.Encoded(h) {
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

// operationID is the client's name for the request as it goes to the log: printable
// ASCII.
func operationID(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '.'
		}
		return r
	}, s)
}

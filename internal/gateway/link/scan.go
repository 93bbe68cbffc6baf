package link

import (
	"bytes"
	"strings"
)

// schemes are those of URLs that are rewritten. One that ends another must come after it.
var schemes = []string{"https", "http", "wss", "ws"}

const longestScheme = len("https")

// set is a set of bytes.
type set [256]bool

func setOf(bytes string) *set {
	var s set
	for i := range len(bytes) {
		s[bytes[i]] = true
	}
	return &s
}

const blanks = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f \x7f"

var (
	// ends are the bytes that no authority contains.
	ends = setOf(blanks + "/?#\"'<>`{}|^\\")
	// unlikely are bytes that user information may contain, but no host: an entity or an escape.
	unlikely = setOf("&\\,;")
	// endsPath are the bytes that end a path, whatever the text around it is.
	endsPath = setOf(blanks + "?#\"'<>\\&")
)

// nextColon returns where the next "://" is, or in JSON perhaps ":\/\/", not before at. It returns -1
// if there is none, and also finds one that the end of the text cuts.
func nextColon(text []byte, at int) int {
	for at < len(text) {
		i := bytes.IndexByte(text[at:], ':')
		if i < 0 {
			return -1
		}
		at += i
		if rest := text[at+1:]; len(rest) == 0 || rest[0] == '/' || rest[0] == '\\' {
			return at
		}
		at++
	}
	return -1
}

// schemeStart returns where the scheme at the end of text begins, or its length if there is none.
func schemeStart(text []byte) int {
	for _, s := range schemes {
		if n := len(text) - len(s); n >= 0 && strings.EqualFold(string(text[n:]), s) {
			return n
		}
	}
	return len(text)
}

// wordBefore reports whether the scheme at start is only the end of another one.
func wordBefore(text []byte, start int, before byte) bool {
	if start > 0 {
		before = text[start-1]
	}
	return before == '+' || before == '-' || before == '.' || alphanumeric(before)
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// held returns where the end of the text begins that may be the beginning of a scheme.
func held(text []byte) int {
	for n := min(longestScheme, len(text)); n > 0; n-- {
		tail := string(text[len(text)-n:])
		for _, s := range schemes {
			if n <= len(s) && strings.EqualFold(tail, s[:n]) {
				return len(text) - n
			}
		}
	}
	return len(text)
}

// found is a URL in a text, as offsets. Its name is empty if there is none.
type found struct {
	scheme, colon int // where the scheme begins and ends
	authority     int
	host          int // after the user information
	end           int // of the authority
	name, port    []byte
}

// locate finds the parts of the URL whose scheme is given. complete is false if the text ends first.
func locate(text []byte, scheme, colon int) (f found, complete bool) {
	at := colon + 1
	for range 2 {
		n, complete := slash(text[at:])
		if !complete || n == 0 {
			return found{}, complete
		}
		at += n
	}
	f = found{scheme: scheme, colon: colon, authority: at, host: at}
	end := at
	for ; end < len(text); end++ {
		c := text[end]
		// In JSON, \u0026 is a part of the user information.
		if ends[c] && (c != '\\' || end+1 < len(text) && text[end+1] != 'u') {
			complete = true
			break
		}
		if c == '@' {
			f.host = end + 1
		}
		if end-at >= maxAuthority {
			return found{}, true
		}
	}
	f.end = f.host
	for f.end < end && !unlikely[text[f.end]] {
		f.end++
	}
	f.name, f.port = split(text[f.host:f.end])
	return f, complete
}

// slash returns the length of the slash at the beginning of text: 1, or 2 if it is escaped, or 0.
func slash(text []byte) (n int, complete bool) {
	switch {
	case len(text) == 0, text[0] == '\\' && len(text) == 1:
		return 0, false
	case text[0] == '/':
		return 1, true
	case text[0] == '\\' && text[1] == '/':
		return 2, true
	}
	return 0, true
}

// split divides a host and port. A dot at the end of a name is not a part of it.
func split(hostPort []byte) (name, port []byte) {
	name = hostPort
	if i := bytes.LastIndexByte(hostPort, ':'); i > bytes.LastIndexByte(hostPort, ']') {
		name, port = hostPort[:i], hostPort[i+1:]
	}
	if n := len(name); n > 2 && name[0] == '[' && name[n-1] == ']' {
		name = name[1 : n-1]
	}
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	return name, port
}

// pathOf returns the path at the beginning of text, with plain slashes. complete is false if the text
// may end before the path does.
func pathOf(text []byte) (path string, complete bool) {
	var b strings.Builder
	for i := 0; i < len(text) && i < maxPath; i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 == len(text):
			return b.String(), false
		case c == '\\' && text[i+1] == '/':
		case endsPath[c]:
			return b.String(), true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), len(text) >= maxPath
}

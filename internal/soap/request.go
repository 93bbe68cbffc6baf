package soap

import "strings"

// maxBody is the largest message, in bytes: as it is sent, and in UTF-8.
const maxBody = 8 << 20

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

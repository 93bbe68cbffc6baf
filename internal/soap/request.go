package soap

import "strings"

// maxBody is the largest message, in bytes. It limits the received bytes, and the message in UTF-8.
const maxBody = 8 << 20

// operationID returns the operation id of a client in the form for the log: all but printable ASCII
// characters are replaced.
func operationID(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '.'
		}
		return r
	}, s)
}

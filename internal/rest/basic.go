package rest

import (
	"encoding/base64"
	"strings"
)

// basic parses an Authorization header of the scheme Basic (RFC 7617). It reports whether the
// header has this scheme. If the credential is malformed, user and password are empty. Both are
// returned as the received bytes: a client that does not encode them in UTF-8, as the challenge
// demands, sends another name or a wrong password.
func basic(authorization string) (user, password string, ok bool) {
	scheme, credentials, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimLeft(credentials, " "))
	if err != nil {
		return "", "", true
	}
	user, password, found := strings.Cut(string(b), ":")
	if !found {
		return "", "", true
	}
	return user, password, true
}

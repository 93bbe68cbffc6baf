package rest

import (
	"encoding/base64"
	"strings"
)

// basic reads the name and the password from an Authorization header, and reports
// whether it is of the scheme Basic (RFC 7617). One that is broken names nobody. The
// two are bytes as they came: a client that does not write them in UTF-8, as the
// challenge asks, sends another name or a wrong password.
func basic(authorization string) (user, password string, ok bool) {
	scheme, credentials, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimLeft(credentials, " "))
	if err != nil {
		return "", "", true
	}
	user, password, whole := strings.Cut(string(b), ":")
	if !whole {
		return "", "", true
	}
	return user, password, true
}

package server

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/vigate/vigate/internal/peer"
)

// AdminAccess decides which clients may use the admin listener. With it, the listener has TLS and may have any
// address. A request must pass each function that is set. At least one must be set.
type AdminAccess struct {
	// Certificate returns nil if a client that presented these certificates, its own first, may use the
	// listener. If nil, certificates are not checked.
	Certificate func(presented []*x509.Certificate) error
	// Token reports whether the text is the token of those who may use the listener. If nil, no token is needed.
	Token func(text string) bool
}

// The bounds of an admin listener that other machines can reach. The programs that read metrics are few.
const (
	adminConnections        = 64
	adminAddressConnections = 16
)

var errToken = errors.New("no token, or a wrong one")

// protect returns a handler that passes on only requests with access. The answer to other requests says which
// credentials are needed.
func (a *AdminAccess) protect(next http.Handler, logger *slog.Logger) http.Handler {
	refuse := func(w http.ResponseWriter, r *http.Request, status int, needed string, err error) {
		logger.Warn("request to the admin listener refused", "address", peer.From(r.Context()).Address, "err", err)
		http.Error(w, needed, status)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Certificate != nil {
			var presented []*x509.Certificate
			if r.TLS != nil {
				presented = r.TLS.PeerCertificates
			}
			if err := a.Certificate(presented); err != nil {
				refuse(w, r, http.StatusForbidden, "a certificate of an authority in admin-client-ca is needed", err)
				return
			}
		}
		if a.Token != nil && !a.Token(bearer(r)) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, r, http.StatusUnauthorized, "the token in admin-token-file is needed", errToken)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer returns the token in the header Authorization, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// TLS configures how the client checks the server's certificate, and the certificate that the
// client presents. The zero value checks against the system's certificate authorities.
type TLS struct {
	// CA holds the PEM certificates of the authorities to trust instead of the system's. It
	// excludes Pool.
	CA []byte
	// Pool holds the same authorities as CA, already parsed.
	Pool *x509.CertPool
	// Thumbprint is the SHA-256 digest of the server's own (leaf) certificate: 64 hex digits, with
	// or without colons. It replaces the check of the certificate chain and the host name. If CA or
	// Pool is also set, both checks must succeed.
	Thumbprint string
	// Insecure accepts any certificate. Thumbprint is still checked.
	Insecure bool
	// Certificate is presented if the server asks for a client certificate.
	// LoginExtensionByCertificate needs it.
	Certificate *tls.Certificate
	// ServerName is the name that the server's certificate must have, if that is not the host of
	// the URL.
	ServerName string
}

// ErrThumbprint means that the server's certificate does not have the thumbprint in
// [TLS].Thumbprint.
var ErrThumbprint = errors.New("server certificate does not have the expected thumbprint")

func (t TLS) isZero() bool {
	return t.CA == nil && t.Pool == nil && t.Thumbprint == "" && !t.Insecure &&
		t.Certificate == nil && t.ServerName == ""
}

func (t TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.Pool, ServerName: t.ServerName}
	if t.CA != nil {
		if t.Pool != nil {
			return nil, errors.New("configure TLS: CA and Pool exclude each other")
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("configure TLS: CA holds no PEM certificate")
		}
	}
	if t.Insecure && cfg.RootCAs != nil {
		return nil, errors.New("configure TLS: Insecure and CA or Pool exclude each other")
	}
	if t.Certificate != nil {
		cfg.Certificates = []tls.Certificate{*t.Certificate}
	}
	cfg.InsecureSkipVerify = t.Insecure
	if t.Thumbprint == "" {
		return cfg, nil
	}
	want, err := parseThumbprint(t.Thumbprint)
	if err != nil {
		return nil, err
	}
	if cfg.RootCAs == nil {
		cfg.InsecureSkipVerify = true
	}
	// Unlike VerifyPeerCertificate, VerifyConnection also runs for resumed connections.
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return ErrThumbprint
		}
		got := sha256.Sum256(state.PeerCertificates[0].Raw)
		if subtle.ConstantTimeCompare(got[:], want) != 1 {
			return ErrThumbprint
		}
		return nil
	}
	return cfg, nil
}

func parseThumbprint(s string) ([]byte, error) {
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if err != nil {
		return nil, errors.New("configure TLS: thumbprint is not hexadecimal")
	}
	if len(sum) != sha256.Size {
		return nil, fmt.Errorf("configure TLS: thumbprint has %d bytes, but a SHA-256 digest has %d", len(sum),
			sha256.Size)
	}
	return sum, nil
}

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

// TLS says how the server's certificate is checked and which one the client
// shows. The zero value checks against the system's authorities.
type TLS struct {
	// CA holds PEM certificates of the authorities to trust instead of the
	// system's. Not together with Pool.
	CA []byte
	// Pool is the same as CA, parsed.
	Pool *x509.CertPool
	// Thumbprint is the SHA-256 of the server's own (leaf) certificate, as 64
	// hex digits, with or without colons. It takes the place of the check of
	// chain and name, unless CA or Pool is set as well: then both must hold.
	Thumbprint string
	// Insecure accepts any certificate. A Thumbprint is still checked.
	Insecure bool
	// Certificate is shown where the server asks for one, as
	// LoginExtensionByCertificate needs.
	Certificate *tls.Certificate
	// ServerName is the name expected in the server's certificate, where it is
	// not the host of the URL.
	ServerName string
}

// ErrThumbprint is the cause where a server's certificate is not the one that
// [TLS].Thumbprint names.
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
	// VerifyConnection, other than VerifyPeerCertificate, also runs on resumed
	// connections.
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
		return nil, fmt.Errorf("configure TLS: thumbprint has %d bytes, a SHA-256 has %d", len(sum), sha256.Size)
	}
	return sum, nil
}

package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// generatedLife is ten years. Clients trust a generated certificate because they were given its
// thumbprint or file, and nobody could revoke it. A shorter life would only make clients fail some
// day.
const generatedLife = 10 * 365 * 24 * time.Hour

// generatePair writes a self-signed certificate and its key into the directory. The certificate is
// written last, and no file is ever visible incomplete.
func generatePair(dir *os.Root, now time.Time) error {
	// Randomness is crypto/rand's whatever one passes: so is Go's rule for keys.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	names := certificateNames()
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"vigate"}, CommonName: names[0]},
		DNSNames:              names,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:             now.Add(-time.Hour), // clients' clocks differ
		NotAfter:              now.Add(generatedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeNew(dir, keptKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		0o600); err != nil {
		return err
	}
	return writeNew(dir, keptCert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// certificateNames returns the names that clients on this machine use, with the host's own name
// first if it is usable. sdkTunnel is the name that clients which log in by certificate connect to.
func certificateNames() []string {
	names := []string{"localhost", tunnelName}
	if host, err := os.Hostname(); err == nil && usableName(host) && !strings.EqualFold(host, "localhost") {
		names = append([]string{host}, names...)
	}
	return names
}

// usableName reports whether a name consists of letters, digits, hyphens and dots, is within the
// limits of RFC 1035 §2.3.4, and is short enough for a common name (RFC 5280, ub-common-name 64).
func usableName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return true
}

// writeNew writes a file atomically and syncs it to disk.
func writeNew(dir *os.Root, name string, b []byte, mode fs.FileMode) error {
	temp := "." + name + "-" + rand.Text()
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = dir.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(temp))
	}
	d, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer d.Close()
	return d.Sync()
}

package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// revocationList is a list in DER of an authority of its own.
func revocationList(t *testing.T, number int64) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "authority"}, SubjectKeyId: []byte{1},
		KeyUsage: x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
	now := time.Now()
	b, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.Add(time.Hour),
	}, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryRevocationListOfAFileIsReadOrTheFileIsRefused(t *testing.T) {
	der := revocationList(t, 1)
	block := func(typ string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}))
	}
	one, two := block("X509 CRL", der), block("X509 CRL", revocationList(t, 2))
	for name, c := range map[string]struct {
		text string
		want int // 0: refused
	}{
		"DER":                 {string(der), 1},
		"PEM":                 {one, 1},
		"two":                 {one + two, 2},
		"two with a comment":  {"# both\n" + one + "\n" + two + "\n", 2},
		"a certificate too":   {one + block("CERTIFICATE", der), 0},
		"a damaged second":    {one + block("X509 CRL", der[:40]), 0},
		"a cut second":        {one + two[:60], 0},
		"nothing":             {"", 0},
		"DER and more behind": {string(der) + "x", 0},
	} {
		path := filepath.Join(t.TempDir(), "crl")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		trust, err := LoadTrust(nil, []string{path})
		if len(trust.Revoked) != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%s: %d lists, %v", name, len(trust.Revoked), err)
		}
	}
}

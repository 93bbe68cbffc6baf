package login

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/extension"
)

// Trust is the authorities of client certificates and their revocation lists. It
// follows its files: when they change, what they have is in force from the next
// login on. What can't be used is logged, and what was in force stays.
type Trust struct {
	authorities, revocations []string
	now                      func() time.Time
	log                      *slog.Logger

	current atomic.Pointer[extension.Trust]
	next    atomic.Int64 // when to look at the files again, Unix nanoseconds
	// loading is held by the one caller that looks at the files; seen is its.
	loading atomic.Bool
	seen    []fs.FileInfo // nil: not there
}

const (
	trustCheckPeriod = time.Second
	maxTrustFile     = 16 << 20 // bytes of a file of authorities or revocations
)

// OpenTrust reads the authorities of client certificates and their revocation
// lists from files, in PEM, or DER for a list. A list that is of none of the
// authorities is an error: it would revoke nothing.
func OpenTrust(authorities, revocations []string, now func() time.Time, log *slog.Logger) (*Trust, error) {
	t := &Trust{authorities: authorities, revocations: revocations, now: now, log: log}
	t.seen = t.stamps()
	loaded, err := t.load()
	if err != nil {
		return nil, err
	}
	t.current.Store(&loaded)
	t.next.Store(now().Add(trustCheckPeriod).UnixNano())
	return t, nil
}

// Current returns what is in force; about once a second it looks whether the files
// changed.
func (t *Trust) Current() extension.Trust {
	now := t.now()
	if now.UnixNano() >= t.next.Load() && t.loading.CompareAndSwap(false, true) {
		t.next.Store(now.Add(trustCheckPeriod).UnixNano())
		t.reload()
		t.loading.Store(false)
	}
	return *t.current.Load()
}

// reload is called by whoever holds loading.
func (t *Trust) reload() {
	found := t.stamps()
	if slices.EqualFunc(found, t.seen, sameFile) {
		return
	}
	// The stamps are older than what is read next, so a change in between is seen as
	// another change the next time.
	t.seen = found
	loaded, err := t.load()
	if err != nil {
		t.log.Error("authorities or revocation lists changed but can't be used, the old ones stay", "err", err)
		return
	}
	t.current.Store(&loaded)
	t.log.Info("authorities and revocation lists reloaded", "authorities", t.authorities, "revocations", t.revocations)
}

func (t *Trust) stamps() []fs.FileInfo {
	all := make([]fs.FileInfo, 0, len(t.authorities)+len(t.revocations))
	for _, path := range slices.Concat(t.authorities, t.revocations) {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		all = append(all, info)
	}
	return all
}

// sameFile reports whether a file has not changed. nil is one that is not there.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (t *Trust) load() (extension.Trust, error) {
	var authorities []*x509.Certificate
	for _, path := range t.authorities {
		b, err := readTrust(path)
		if err != nil {
			return extension.Trust{}, err
		}
		found, err := parseAuthorities(b)
		if err != nil {
			return extension.Trust{}, fmt.Errorf("read authorities in %s: %w", path, err)
		}
		authorities = append(authorities, found...)
	}
	trust, err := extension.NewTrust(authorities)
	if err != nil {
		return extension.Trust{}, fmt.Errorf("read authorities: %w", err)
	}
	for _, path := range t.revocations {
		b, err := readTrust(path)
		if err != nil {
			return extension.Trust{}, err
		}
		lists, err := parseRevocations(b)
		if err != nil {
			return extension.Trust{}, fmt.Errorf("read revocations in %s: %w", path, err)
		}
		for _, list := range lists {
			if err := trust.Revoke(list); err != nil {
				return extension.Trust{}, fmt.Errorf("read revocations in %s: %w (it would revoke nothing: "+
					"add the authority's certificate to a client-ca, or take the list away)", path, err)
			}
		}
	}
	return trust, nil
}

// parseAuthorities reads the certificates of a file in PEM. What else is in it is
// passed over, such as texts and keys: an authority that is left out lets nobody in.
func parseAuthorities(b []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	if bytes.Count(b, []byte("-----BEGIN CERTIFICATE-----")) != len(all) {
		return nil, errDamagedPEM
	}
	return all, nil
}

// revocationBlock is the type of a list in PEM.
const revocationBlock = "X509 CRL"

var (
	errTrailing   = errors.New("there is more behind the list")
	errDamagedPEM = errors.New("a part of it is no PEM")
)

// parseRevocations reads the revocation lists of a file: one in DER, or all in
// PEM. A list that was passed over would let revoked certificates in, so a file
// with anything else in it is refused.
func parseRevocations(b []byte) ([]*x509.RevocationList, error) {
	block, rest := pem.Decode(b)
	parts := bytes.Count(b, []byte("-----BEGIN ")) // pem passes over what it can't decode
	if block == nil {
		parts = 1
		block, rest = &pem.Block{Type: revocationBlock, Bytes: b}, nil
	}
	var lists []*x509.RevocationList
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != revocationBlock {
			return nil, fmt.Errorf("a %q is no revocation list", block.Type)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		if len(list.Raw) != len(block.Bytes) {
			return nil, errTrailing
		}
		lists = append(lists, list)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errTrailing
	}
	if parts != len(lists) {
		return nil, errDamagedPEM
	}
	return lists, nil
}

func readTrust(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTrustFile+1))
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	if len(b) > maxTrustFile {
		return nil, fmt.Errorf("read trust: %s has more than %d bytes", path, maxTrustFile)
	}
	return b, nil
}

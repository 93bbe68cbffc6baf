package trust

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

	"github.com/vigate/vigate/internal/datadir"
)

// Files loads authorities and revocation lists from files and reloads them when the files change. A
// change takes effect at the next login. If a changed file can't be used, the error is logged and
// the previous state stays in force.
type Files struct {
	authorities, revocations []string
	now                      func() time.Time
	logger                   *slog.Logger

	current atomic.Pointer[Authorities]
	next    atomic.Int64 // when to check the files again, Unix nanoseconds
	// loading is held by the one caller that checks the files. It guards seen.
	loading atomic.Bool
	seen    []fs.FileInfo // nil entries are missing files
}

const (
	checkPeriod = time.Second
	maxFile     = 16 << 20 // bytes of a file of certificates or revocations
)

// Open reads the authorities of client certificates (PEM) and their revocation lists (PEM or DER)
// from files. It returns an error for a list that none of the authorities issued, because that list
// would revoke nothing.
func Open(authorities, revocations []string, now func() time.Time, logger *slog.Logger) (*Files, error) {
	f := &Files{authorities: authorities, revocations: revocations, now: now, logger: logger}
	f.seen = f.stamps()
	loaded, err := f.load()
	if err != nil {
		return nil, err
	}
	f.current.Store(&loaded)
	f.next.Store(now().Add(checkPeriod).UnixNano())
	return f, nil
}

// Current returns the authorities in force. About once a second it checks whether the files have
// changed.
func (f *Files) Current() Authorities {
	now := f.now()
	if now.UnixNano() >= f.next.Load() && f.loading.CompareAndSwap(false, true) {
		f.next.Store(now.Add(checkPeriod).UnixNano())
		f.reload()
		f.loading.Store(false)
	}
	return *f.current.Load()
}

// reload reloads the files if they have changed. The caller holds loading.
func (f *Files) reload() {
	found := f.stamps()
	if slices.EqualFunc(found, f.seen, sameFile) {
		return
	}
	// The stamps were taken before the files are read. So a change in between is noticed at the
	// next check.
	f.seen = found
	loaded, err := f.load()
	if err != nil {
		f.logger.Error("the changed authorities or revocation lists can't be used: the previous ones stay in force",
			"err", err)
		return
	}
	f.current.Store(&loaded)
	f.logger.Info("trust reloaded", "authorities", f.authorities, "revocations", f.revocations)
}

func (f *Files) stamps() []fs.FileInfo {
	all := make([]fs.FileInfo, 0, len(f.authorities)+len(f.revocations))
	for _, path := range slices.Concat(f.authorities, f.revocations) {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		all = append(all, info)
	}
	return all
}

// sameFile reports whether a file is unchanged. A missing file is nil.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (f *Files) load() (Authorities, error) {
	var authorities []*x509.Certificate
	for _, path := range f.authorities {
		found, err := ReadCertificates(path)
		if err != nil {
			return Authorities{}, err
		}
		authorities = append(authorities, found...)
	}
	loaded, err := New(authorities)
	if err != nil {
		return Authorities{}, fmt.Errorf("read authorities: %w", err)
	}
	for _, path := range f.revocations {
		b, err := read(path)
		if err != nil {
			return Authorities{}, err
		}
		lists, err := parseRevocations(b)
		if err != nil {
			return Authorities{}, fmt.Errorf("read revocations in %s: %w", path, err)
		}
		for _, list := range lists {
			if err := loaded.Revoke(list); err != nil {
				return Authorities{}, fmt.Errorf("read revocations in %s: %w (it would revoke nothing: "+
					"add the authority's certificate to a client-ca, or take the list away)", path, err)
			}
		}
	}
	return loaded, nil
}

// ReadCertificates reads the certificates of a PEM file, at least one. Only this process's account and root
// may be able to change the file, because its certificates decide who gets in. It ignores everything else in
// the file, such as comments and keys: a missing certificate only means that somebody is refused.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	b, err := read(path)
	if err != nil {
		return nil, err
	}
	all, err := parseCertificates(b)
	if err != nil {
		return nil, fmt.Errorf("read certificates in %s: %w", path, err)
	}
	return all, nil
}

// ReadPool reads the authorities of a server from a PEM file, with ReadCertificates.
func ReadPool(path string) (*x509.CertPool, error) {
	all, err := ReadCertificates(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool, nil
}

func parseCertificates(b []byte) ([]*x509.Certificate, error) {
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

// revocationBlock is the PEM type of a revocation list.
const revocationBlock = "X509 CRL"

var (
	errTrailing   = errors.New("there is data after the list")
	errDamagedPEM = errors.New("a part of it is not PEM")
)

// parseRevocations reads the revocation lists of a file: one in DER, or any number in PEM. It
// refuses a file with any other content, because a list that is ignored would let revoked
// certificates in.
func parseRevocations(b []byte) ([]*x509.RevocationList, error) {
	block, rest := pem.Decode(b)
	parts := bytes.Count(b, []byte("-----BEGIN ")) // pem.Decode skips blocks that it can't decode
	if block == nil {
		parts = 1
		block, rest = &pem.Block{Type: revocationBlock, Bytes: b}, nil
	}
	var lists []*x509.RevocationList
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != revocationBlock {
			return nil, fmt.Errorf("a %q is not a revocation list", block.Type)
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

func read(path string) ([]byte, error) {
	f, err := datadir.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("read trust: %s has more than %d bytes", path, maxFile)
	}
	return b, nil
}

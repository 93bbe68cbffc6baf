package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
)

// Files loads authorities and revocation lists from files and reloads them when the files change. A
// change takes effect at the next login. If a changed file can't be used, the error is logged and
// the previous state stays in force.
type Files struct {
	authorities, revocations []string
	logger                   *slog.Logger
	watch                    *filewatch.Watch
	current                  atomic.Pointer[Authorities]
}

const maxFile = 16 << 20 // bytes of a file of certificates or revocations

// Open reads the authorities of client certificates (PEM) and their revocation lists (PEM or DER)
// from files. It returns an error for a list that none of the authorities issued, because that list
// would revoke nothing.
func Open(authorities, revocations []string, now func() time.Time, logger *slog.Logger) (*Files, error) {
	f := &Files{authorities: authorities, revocations: revocations, logger: logger}
	f.watch = filewatch.New(filewatch.Options{
		Paths: slices.Concat(authorities, revocations), Now: now, Reload: f.reload,
		Failed: func(err error) {
			logger.Error("the changed authorities or revocation lists can't be used: the previous ones stay in force",
				"err", err)
		},
	})
	loaded, err := f.load()
	if err != nil {
		return nil, err
	}
	f.current.Store(&loaded)
	return f, nil
}

// Current returns the authorities in force. About once a second it checks whether the files have
// changed.
func (f *Files) Current() Authorities {
	f.watch.Check()
	return *f.current.Load()
}

// reload reads the files again, because one of them has changed.
func (f *Files) reload() error {
	loaded, err := f.load()
	if err != nil {
		return err
	}
	f.current.Store(&loaded)
	f.logger.Info("trust reloaded", "authorities", f.authorities, "revocations", f.revocations)
	return nil
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
		b, _, err := read(path)
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
	b, _, err := read(path)
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

func read(path string) ([]byte, fs.FileInfo, error) {
	b, info, err := datadir.ReadFile(path, maxFile)
	if err != nil {
		return nil, info, fmt.Errorf("read trust: %w", err)
	}
	return b, info, nil
}

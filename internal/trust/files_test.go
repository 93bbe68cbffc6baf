package trust

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/trust/trusttest"
)

// authority issues client certificates and revocation lists.
type authority struct {
	*trusttest.Authority
	t *testing.T
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	return &authority{trusttest.New(t, name), t}
}

// list makes a revocation list in DER that is current for a day from the time at.
func (a *authority) list(at time.Time, revoked ...*x509.Certificate) []byte {
	a.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: at, NextUpdate: at.Add(24 * time.Hour)}
	for _, c := range revoked {
		e := x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: at}
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, e)
	}
	b, err := x509.CreateRevocationList(rand.Reader, l, a.Cert, a.Key)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func block(typ string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}))
}

// onDisk are files as an operator writes them.
type onDisk struct {
	t       *testing.T
	ca, crl string
	clock   *testclock.Clock
	log     bytes.Buffer
}

func newOnDisk(t *testing.T) *onDisk {
	dir := t.TempDir()
	return &onDisk{
		t: t, ca: filepath.Join(dir, "ca.pem"), crl: filepath.Join(dir, "crl"), clock: testclock.New(time.Now()),
	}
}

// write replaces a file atomically, as an operator should.
func (f *onDisk) write(path, text string) {
	f.t.Helper()
	err := os.WriteFile(path+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *onDisk) open() (*Files, error) {
	return Open([]string{f.ca}, []string{f.crl}, f.clock.Now, slog.New(slog.NewTextHandler(&f.log, nil)))
}

func TestEveryRevocationListOfAFileIsReadOrTheFileIsRefused(t *testing.T) {
	f := newOnDisk(t)
	a, b, stranger := newAuthority(t, "a"), newAuthority(t, "b"), newAuthority(t, "stranger")
	now := f.clock.Now()
	x, _ := a.Issue("x", nil)
	y, _ := b.Issue("x", nil)
	f.write(f.ca, block("CERTIFICATE", a.Cert.Raw)+"text\n"+block("CERTIFICATE", b.Cert.Raw))
	der := a.list(now, x)
	one, two, none := block("X509 CRL", der), block("X509 CRL", b.list(now, y)), block("X509 CRL", stranger.list(now))
	damaged := strings.Replace(two, "M", "*", 1) // skipped by encoding/pem

	revoked := func(files *Files, c *x509.Certificate) bool {
		return files.Current().Check([]*x509.Certificate{c}, now) != nil
	}
	for name, c := range map[string]struct {
		text string
		want string // the name on the revoked certificate; empty: the file is refused
		says string
	}{
		"DER":                       {string(der), "x", ""},
		"PEM":                       {one, "x", ""},
		"two":                       {one + two, "xy", ""},
		"two with a comment":        {"# both\n" + one + "\n" + two + "\n", "xy", ""},
		"two of one authority":      {one + block("X509 CRL", a.list(now)) + two, "xy", ""},
		"a certificate too":         {one + block("CERTIFICATE", der), "", "is not a revocation list"},
		"a damaged second":          {one + block("X509 CRL", der[:40]), "", ""},
		"a cut second":              {one + two[:60], "", "data after the list"},
		"no base64 in front":        {damaged + one, "", "not PEM"},
		"no base64 between":         {one + damaged + one, "", "not PEM"},
		"nothing":                   {"", "", ""},
		"DER and more behind":       {string(der) + "x", "", ""},
		"of a stranger":             {none, "", "CN=stranger"},
		"of a stranger, after two":  {one + two + none, "", "CN=stranger"},
		"of a stranger, before two": {none + one + two, "", "CN=stranger"},
	} {
		f.write(f.crl, c.text)
		files, err := f.open()
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), f.crl) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := revoked(files, y); !revoked(files, x) || got != strings.Contains(c.want, "y") {
			t.Errorf("%s: of %s something is not revoked", name, c.want)
		}
	}
	f.write(f.crl, one)
	good := block("CERTIFICATE", a.Cert.Raw)
	for name, text := range map[string]string{
		"no authority": "", "a key": block("PRIVATE KEY", a.Cert.Raw), "damaged": strings.Replace(good, "M", "*", 1),
		"one of two damaged": good + strings.Replace(good, "M", "*", 1),
		"cut":                block("CERTIFICATE", a.Cert.Raw[:50]), "another": block("CERTIFICATE", b.Cert.Raw),
	} {
		f.write(f.ca, text)
		if _, err := f.open(); err == nil {
			t.Errorf("%s in the place of authorities was taken", name)
		}
	}
}

func TestChangedRevocationListsAreReadAgainAndBadOnesLeaveTheOldInForce(t *testing.T) {
	f := newOnDisk(t)
	a, stranger := newAuthority(t, "a"), newAuthority(t, "stranger")
	now := f.clock.Now()
	first, _ := a.Issue("x", nil)
	second, _ := a.Issue("x", nil)
	f.write(f.ca, block("CERTIFICATE", a.Cert.Raw))
	f.write(f.crl, string(a.list(now, first)))
	files, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, revoked ...bool) {
		t.Helper()
		for i, c := range []*x509.Certificate{first, second} {
			if err := files.Current().Check([]*x509.Certificate{c}, now); (err != nil) != revoked[i] {
				t.Errorf("%s, certificate %d: %v", what, i, err)
			}
		}
	}
	want("at the start", true, false)
	for name, text := range map[string]string{
		"a stranger's list": string(stranger.list(now)), "a half": string(a.list(now)[:99]), "nothing": "",
	} {
		f.log.Reset()
		f.write(f.crl, text)
		f.clock.Advance(2 * filewatch.Period)
		want(name, true, false)
		f.clock.Advance(2 * filewatch.Period)
		want(name, true, false)
		if n := strings.Count(f.log.String(), "the previous ones stay in force"); n != 1 {
			t.Errorf("%s: logged %d times: %s", name, n, f.log.String())
		}
	}
	if err := os.Remove(f.crl); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * filewatch.Period)
	want("no list", true, false)
	f.log.Reset()
	f.write(f.crl, string(a.list(now, second)))
	want("within the second", true, false)
	f.clock.Advance(2 * filewatch.Period)
	want("the new list", false, true)
	if !strings.Contains(f.log.String(), "reloaded") {
		t.Errorf("logged: %s", f.log.String())
	}
	f.write(f.ca, block("CERTIFICATE", stranger.Cert.Raw)) // the list is of none of these
	f.clock.Advance(2 * filewatch.Period)
	want("other authorities", false, true)
}

// Who can change these files decides whose certificates log in.
func TestAFileThatOthersCouldChangeIsRefused(t *testing.T) {
	f := newOnDisk(t)
	a, stranger := newAuthority(t, "a"), newAuthority(t, "stranger")
	now := f.clock.Now()
	f.write(f.ca, block("CERTIFICATE", a.Cert.Raw))
	f.write(f.crl, string(a.list(now)))
	for _, path := range []string{f.ca, f.crl} {
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := f.open(); !errors.Is(err, datadir.ErrUnsafe) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	own, _ := a.Issue("x", nil)
	other, _ := stranger.Issue("x", nil)
	f.log.Reset()
	f.write(f.ca, block("CERTIFICATE", a.Cert.Raw)+block("CERTIFICATE", stranger.Cert.Raw))
	if err := os.Chmod(f.ca, 0o666); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * filewatch.Period)
	if err := files.Current().Check([]*x509.Certificate{other}, now); err == nil {
		t.Error("a stranger's authority is trusted from a file that others can write")
	}
	if err := files.Current().Check([]*x509.Certificate{own}, now); err != nil {
		t.Errorf("the old authority: %v", err)
	}
	if !strings.Contains(f.log.String(), "the previous ones stay in force") {
		t.Errorf("logged: %s", f.log.String())
	}
	// As soon as nobody else can write the file, it is used, although its content has not changed.
	if err := os.Chmod(f.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * filewatch.Period)
	if err := files.Current().Check([]*x509.Certificate{other}, now); err != nil {
		t.Errorf("after the mode was mended: %v", err)
	}
}

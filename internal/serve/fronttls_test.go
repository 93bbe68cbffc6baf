package serve_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/serve"
)

// pair is a certificate and its key, as PEM.
type pair struct{ cert, key []byte }

func newPair(t *testing.T, number int64) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), DNSNames: []string{"front.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}
}

// put puts a pair in the place of another, as an operator should.
func (p pair) put(t *testing.T, cert, key string) {
	t.Helper()
	for path, content := range map[string][]byte{key: p.key, cert: p.cert} {
		must(t, os.WriteFile(path+".next", content, 0o600))
		must(t, os.Rename(path+".next", path))
	}
}

// connect logs in at the front by TLS. The certificate must be one of those given.
func connect(t *testing.T, address string, trusted ...pair) (*govmomi.Client, error) {
	t.Helper()
	roots := x509.NewCertPool()
	for _, p := range trusted {
		roots.AppendCertsFromPEM(p.cert)
	}
	u, err := url.Parse("https://" + address + "/sdk")
	must(t, err)
	transport := soap.NewClient(u, false)
	transport.DefaultTransport().TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "front.test",
	}
	c, err := vim25.NewClient(t.Context(), transport)
	if err != nil {
		return nil, err
	}
	g := &govmomi.Client{Client: c, SessionManager: session.NewManager(c)}
	return g, g.Login(t.Context(), url.UserPassword("administrator", password))
}

func TestAFrontHasACertificateOfItsOwnWhichIsReadAgain(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "front.pem"), filepath.Join(dir, "front.key")
	first, second := newPair(t, 1), newPair(t, 2)
	first.put(t, cert, key)
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", "    listen: 127.0.0.1:0\n    tls-cert: "+cert+
		"\n    tls-key: "+key+"\n"+account("ci", "administrator")))
	r.ready("lab")
	address := r.FrontAddr("lab", "tls").String()
	c, err := connect(t, address, first, second)
	must(t, err)
	if _, err := connect(t, address, second); err == nil {
		t.Error("the front shows a certificate that it does not have yet")
	}
	if bytes.Equal(r.Leaf().Raw, der(t, first)) {
		t.Error("the server itself has the certificate of the front")
	}
	must(t, os.WriteFile(cert, []byte("damaged"), 0o600))
	until(t, r, "can't be used, the old certificate stays", func() { _, _ = connect(t, address, first) })
	if _, err := connect(t, address, first); err != nil {
		t.Errorf("with damaged files: %v", err)
	}
	second.put(t, cert, key)
	until(t, r, "certificate reloaded", func() { _, _ = connect(t, address, first) })
	again, err := connect(t, address, second)
	must(t, err)
	must(t, again.Logout(t.Context()))
	if s, err := c.SessionManager.UserSession(t.Context()); err != nil || s == nil {
		t.Errorf("a session of before: %+v, %v", s, err)
	}
}

func TestAFrontDoesNotStartWithoutItsCertificate(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	dir := t.TempDir()
	cfg, all := configured(t, dir, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", "    listen: 127.0.0.1:0\n"+
		"    tls-cert: none.pem\n    tls-key: none.key\n"+account("ci", "administrator")))
	n, err := serve.Open(t.Context(), cfg, serve.Options{Upstreams: all})
	if err == nil {
		_ = n.Close()
		t.Fatal("it starts")
	}
	if !strings.Contains(err.Error(), "tls-cert") || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("the error is %v", err)
	}
}

func der(t *testing.T, p pair) []byte {
	t.Helper()
	block, _ := pem.Decode(p.cert)
	return block.Bytes
}

// until calls f until the log has the text. The files of a certificate are looked at once a second, when somebody
// connects.
func until(t *testing.T, r *running, text string, f func()) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(time.Minute); !strings.Contains(r.logged(), text); <-again.C {
		if time.Now().After(end) {
			t.Fatalf("no line %q in the log:\n%s", text, r.logged())
		}
		f()
	}
}

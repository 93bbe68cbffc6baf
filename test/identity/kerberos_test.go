package identity

import (
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/sspi"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const (
	realm        = "CORP.EXAMPLE"
	kerberosUser = `CORP.EXAMPLE\alice`
)

// kdc is a KDC of MIT Kerberos with the user alice and the service HTTP/localhost.
type kdc struct {
	t      testing.TB
	dir    string
	env    []string
	keytab string
}

const clientConfig = `
[libdefaults]
  default_realm = CORP.EXAMPLE
  udp_preference_limit = 1
  rdns = false
  dns_canonicalize_hostname = false
  dns_lookup_kdc = false
  permitted_enctypes = aes256-sha1 aes128-sha1 aes256-sha2 aes128-sha2 rc4
[realms]
  CORP.EXAMPLE = {
    kdc = 127.0.0.1:%[1]s
  }
[domain_realm]
  localhost = CORP.EXAMPLE
`

const kdcConfig = `
[kdcdefaults]
  kdc_listen = 127.0.0.1:%[1]s
  kdc_tcp_listen = 127.0.0.1:%[1]s
[realms]
  CORP.EXAMPLE = {
    database_name = %[2]s/principal
    key_stash_file = %[2]s/stash
    acl_file = %[2]s/acl
  }
`

func newKDC(t testing.TB) *kdc {
	t.Helper()
	k := &kdc{t: t, dir: t.TempDir()}
	k.keytab = filepath.Join(k.dir, "http.keytab")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_, port, _ := strings.Cut(address, ":")
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	k.write("krb5.conf", fmt.Sprintf(clientConfig, port))
	k.write("kdc.conf", fmt.Sprintf(kdcConfig, port, k.dir))
	k.env = []string{
		"KRB5_CONFIG=" + filepath.Join(k.dir, "krb5.conf"), "KRB5_KDC_PROFILE=" + filepath.Join(k.dir, "kdc.conf"),
		"KRB5CCNAME=FILE:" + filepath.Join(k.dir, "ccache"),
	}
	run(t, k.env, "/usr/sbin/kdb5_util", "create", "-s", "-r", realm, "-P", "master")
	k.admin("addprinc -pw alice-pw alice")
	k.admin("addprinc -pw admin-pw alice/admin")
	k.admin("addprinc -randkey HTTP/localhost")
	k.admin("addprinc -randkey host/localhost")
	k.admin("ktadd -k " + k.keytab + " HTTP/localhost")
	k.start(address)
	k.kinit("alice", "alice-pw")
	return k
}

func (k *kdc) write(name, text string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kdc) admin(command string) {
	k.t.Helper()
	run(k.t, k.env, "/usr/sbin/kadmin.local", "-r", realm, "-q", command)
}

// start starts the KDC and waits until it serves. It ends with the test.
func (k *kdc) start(address string) {
	k.t.Helper()
	cmd := exec.Command("/usr/sbin/krb5kdc", "-n", "-r", realm)
	cmd.Env = append(os.Environ(), k.env...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	k.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			k.t.Fatalf("the KDC ended: %v\n%s", err, log.String())
		case <-deadline:
			k.t.Fatal("the KDC does not serve")
		}
	}
}

// kinit gets a ticket of the KDC for the user.
func (k *kdc) kinit(user, password string, args ...string) {
	k.t.Helper()
	cmd := exec.Command("/usr/bin/kinit", append(args, user)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), k.env...), strings.NewReader(password+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("kinit: %v\n%s", err, out)
	}
}

// token returns a new token for the service from the user that logged in last.
func (k *kdc) token(mechanism string) []byte {
	k.t.Helper()
	b, err := base64.StdEncoding.DecodeString(python(k.t, k.env, "testdata/kerberos.py", mechanism))
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

func method(keytab string, spent *login.Spent, now func() time.Time) (*sspi.Method, error) {
	s := sspi.Service{Keytab: keytab, Realms: map[string]string{realm: "corp.example"}}
	m, err := sspi.New(s, now, slog.New(slog.DiscardHandler))
	if err == nil {
		m.Attach(spent)
	}
	return m, err
}

func (k *kdc) must(keytab string, now func() time.Time) *sspi.Method {
	k.t.Helper()
	m, err := method(keytab, &login.Spent{}, now)
	if err != nil {
		k.t.Fatal(err)
	}
	return m
}

// server returns a server that accepts Kerberos. It keeps spent authenticators in its store.
func (k *kdc) server() *server {
	k.t.Helper()
	return newServer(k.t, func(d *vimtest.Parts) login.Method {
		m, err := method(k.keytab, d.Spent, nil)
		if err != nil {
			k.t.Fatal(err)
		}
		return m
	}, kerberosUser)
}

// login logs in by VI JSON.
func (s *server) login(token []byte) (int, string) {
	s.t.Helper()
	args := map[string]string{"base64Token": base64.StdEncoding.EncodeToString(token)}
	return s.post(sessionManager+"LoginBySSPI", nil, args)
}

func try(t testing.TB, m *sspi.Method, token []byte) (string, error) {
	t.Helper()
	g, err := m.Authenticate(t.Context(), login.Attempt{Credential: login.SSPI{Token: secret.NewBytes(token)},
		Peer: peer.Peer{Address: "127.0.0.1"}})
	return g.Identity.Name.String(), err
}

func TestATicketOfAKDCLogsInOnce(t *testing.T) {
	k := newKDC(t)
	s := k.server()
	for _, mechanism := range []string{"spnego", "krb5"} {
		if out := python(t, k.env, "testdata/kerberos.py", mechanism, s.port()); out != "session of "+kerberosUser {
			t.Errorf("pyVmomi, %s: %s", mechanism, out)
		}
		token := k.token(mechanism)
		if status, body := s.login(token); status != http.StatusOK || !strings.Contains(body, `CORP.EXAMPLE\\alice`) {
			t.Errorf("VI JSON, %s: %d %s", mechanism, status, body)
		}
		if status, body := s.login(token); status == http.StatusOK || !strings.Contains(body, "InvalidLogin") {
			t.Errorf("%s, again: %d %s", mechanism, status, body)
		}
	}
}

// The client of the tests has no NTLM. So the test makes the offer, and wraps the second token.
func TestAClientThatOffersNTLMFirstLogsInByKerberosAtTheSecondLeg(t *testing.T) {
	k := newKDC(t)
	s := k.server()
	ntlm := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 10}
	kerberos := asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}
	spnego := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2}
	der := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	in := func(class, tag int, b []byte) []byte {
		return der(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: b})
	}
	offer := der(struct {
		Mechanisms []asn1.ObjectIdentifier `asn1:"explicit,tag:0"`
		Token      []byte                  `asn1:"explicit,tag:2"`
	}{[]asn1.ObjectIdentifier{ntlm, kerberos}, []byte("NTLMSSP\x00\x01\x00\x00\x00")})
	first := append(der(spnego), in(asn1.ClassContextSpecific, 0, offer)...)
	status, body := s.login(in(asn1.ClassApplication, 0, first))
	const challenge = "oRQwEqADCgEBoQsGCSqGSIb3EgECAg=="
	if status == http.StatusOK || !strings.Contains(body, "SSPIChallenge") || !strings.Contains(body, challenge) {
		t.Fatalf("%d %s", status, body)
	}
	second := der(struct {
		Token []byte `asn1:"explicit,tag:2"`
	}{k.token("krb5")})
	if status, body := s.login(in(asn1.ClassContextSpecific, 1, second)); status != http.StatusOK ||
		!strings.Contains(body, `CORP.EXAMPLE\\alice`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestTicketsOfAKDCThatAreNotGoodAreRefused(t *testing.T) {
	k := newKDC(t)
	host, weak := filepath.Join(k.dir, "host.keytab"), filepath.Join(k.dir, "rc4.keytab")
	k.admin("ktadd -k " + host + " host/localhost")
	for name, m := range map[string]*sspi.Method{
		"for another service": k.must(host, nil),
		"expired":             k.must(k.keytab, func() time.Time { return time.Now().Add(48 * time.Hour) }),
		"from the future":     k.must(k.keytab, func() time.Time { return time.Now().Add(-10 * time.Minute) }),
	} {
		if _, err := try(t, m, k.token("spnego")); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := k.must(k.keytab, nil)
	k.kinit("alice/admin", "admin-pw")
	_, err := try(t, m, k.token("krb5"))
	if !errors.Is(err, login.ErrRejected) || !strings.Contains(err.Error(), "instance") {
		t.Errorf("a client with an instance: %v", err)
	}
	k.admin("addprinc -randkey -e arcfour-hmac:normal HTTP/weak")
	k.admin("ktadd -norandkey -k " + weak + " HTTP/weak")
	if _, err := method(weak, &login.Spent{}, nil); err == nil || !strings.Contains(err.Error(), "RC4") {
		t.Errorf("a keytab with RC4 alone: %v", err)
	}
}

func TestKeysOfEveryTypeOfAESAreAccepted(t *testing.T) {
	k := newKDC(t)
	for _, encryption := range []string{"aes128-cts", "aes256-cts", "aes128-sha2", "aes256-sha2"} {
		keytab := filepath.Join(k.dir, encryption)
		k.admin("ktadd -k " + keytab + " -e " + encryption + ":normal HTTP/localhost")
		k.kinit("alice", "alice-pw") // forgets the older ticket for the service
		if who, err := try(t, k.must(keytab, nil), k.token("spnego")); err != nil || who != kerberosUser {
			t.Errorf("%s: %s, %v", encryption, who, err)
		}
	}
}

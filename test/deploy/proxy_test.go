package deploy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The client and the proxy have addresses of their own, so that the server's view of them can be told apart.
const (
	clientHost = "127.0.0.5"
	proxyHost  = "127.0.0.1"
	serverName = "vcenter.example.com"
)

// certificate writes cert.pem, key.pem and cert-and-key.pem, for the server and for the proxy.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	write(t, filepath.Join(dir, "cert.pem"), cert, 0o644)
	write(t, filepath.Join(dir, "key.pem"), secret, 0o600)
	write(t, filepath.Join(dir, "cert-and-key.pem"), cert+secret, 0o600)
	write(t, filepath.Join(dir, "vigate-ca.pem"), cert, 0o644)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	return pool
}

// proxied is a server behind a proxy.
type proxied struct {
	server, proxy string // addresses
	client        *http.Client
	token         string
}

var servers = regexp.MustCompile(`192\.0\.2\.1[123]:443`)

// snippet returns a file of deploy/proxy with the addresses and files of the test.
func snippet(t *testing.T, file, dir, proxy, server string) string {
	t.Helper()
	text := read(t, "deploy/proxy/"+file)
	if n := len(servers.FindAllString(text, -1)); n != 3 {
		t.Fatalf("%s has %d servers", file, n)
	}
	text = servers.ReplaceAllString(text, server)
	text = regexp.MustCompile(`/etc/[a-z]+/tls`).ReplaceAllString(text, dir)
	listen := map[string]string{".conf": "listen 443", ".cfg": "bind :443"}[filepath.Ext(file)]
	word, _, _ := strings.Cut(listen, " ")
	return replace(t, text, listen, word+" "+proxy)
}

// startProxy checks the configuration with the proxy's own check, and runs the proxy.
func startProxy(t *testing.T, file, dir, text string) *process {
	t.Helper()
	if strings.HasPrefix(file, "haproxy") {
		path := write(t, filepath.Join(dir, "haproxy.cfg"), text, 0o600)
		output(t, "haproxy", "-c", "-f", path)
		return run(t, nil, "haproxy", "-db", "-f", path)
	}
	path := filepath.Join(dir, "nginx.conf")
	if strings.Contains(text, "\nserver {") {
		temporary := ""
		for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			temporary += what + "_temp_path " + filepath.Join(dir, what) + ";\n"
		}
		text = "http {\naccess_log off;\n" + temporary + text + "\n}\n"
	}
	main := "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nuser root;\ndaemon off;\nworker_processes 1;\n" +
		"pid " + dir + "/pid;\nerror_log stderr;\nevents { worker_connections 256; }\n"
	write(t, path, main+text, 0o600)
	output(t, "nginx", "-t", "-q", "-e", "stderr", "-p", dir, "-c", path)
	return run(t, nil, "nginx", "-e", "stderr", "-p", dir, "-c", path)
}

// behind starts a server and a proxy. change may alter the proxy's configuration.
func behind(t *testing.T, file string, change func(string) string, args ...string) *proxied {
	t.Helper()
	dir := t.TempDir()
	pool := certificate(t, dir)
	p := &proxied{server: free(t, "127.0.0.1"), proxy: free(t, proxyHost)}
	args = append([]string{
		"serve", "--data", filepath.Join(dir, "data"), "--listen", p.server,
		"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"),
	}, args...)
	serving(t, run(t, []string{"VIGATE_ADMIN_PASSWORD=" + adminPassword}, program(t), args...), "https://"+p.server)
	text := snippet(t, file, dir, p.proxy, p.server)
	if change != nil {
		text = change(text)
	}
	serving(t, startProxy(t, file, dir, text), "https://"+p.proxy)
	p.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: serverName},
		ForceAttemptHTTP2: true,
		DialContext: (&net.Dialer{
			LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientHost)},
		}).DialContext,
	}}
	t.Cleanup(p.client.CloseIdleConnections)
	return p
}

// call calls an operation of the VI JSON API through the proxy.
func (p *proxied) call(ctx context.Context, path, body string, result any) error {
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	url := "https://" + p.proxy + "/sdk/vim25/8.0.1.0/" + path
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("vmware-api-session-id", p.token)
	// An address that the client has invented.
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, b)
	}
	if token := resp.Header.Get("vmware-api-session-id"); token != "" {
		p.token = token
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(b, result)
}

// must calls an operation until it succeeds: a proxy with a short time-out may cut calls on a busy machine.
func (p *proxied) must(t *testing.T, path, body string, result any) {
	t.Helper()
	eventually(t, nil, func(ctx context.Context) error { return p.call(ctx, path, body, result) })
}

func (p *proxied) login(t *testing.T) {
	t.Helper()
	p.must(t, "SessionManager/SessionManager/Login",
		fmt.Sprintf(`{"userName":%q,"password":%q}`, adminUser, adminPassword), nil)
}

const collector = "PropertyCollector/propertyCollector/"

// watch makes a filter for the service message and returns the version of its first update.
func (p *proxied) watch(t *testing.T) string {
	t.Helper()
	p.must(t, collector+"CreateFilter", `{"spec":{"_typeName":"PropertyFilterSpec",
		"propSet":[{"_typeName":"PropertySpec","type":"SessionManager","pathSet":["message"]}],
		"objectSet":[{"_typeName":"ObjectSpec","obj":{"_typeName":"ManagedObjectReference",
			"type":"SessionManager","value":"SessionManager"}}]},"partialUpdates":false}`, nil)
	var first struct{ Version string }
	p.must(t, collector+"WaitForUpdatesEx", `{"version":""}`, &first)
	return first.Version
}

// wait waits for a change since a version.
func (p *proxied) wait(t *testing.T, version string) (string, error) {
	t.Helper()
	var update json.RawMessage
	err := p.call(t.Context(), collector+"WaitForUpdatesEx",
		fmt.Sprintf(`{"version":%q,"options":{"_typeName":"WaitOptions","maxWaitSeconds":1800}}`, version), &update)
	return string(update), err
}

// address returns the client's address as the server sees it.
func (p *proxied) address(t *testing.T) string {
	t.Helper()
	var session struct{ IPAddress string }
	p.must(t, "SessionManager/SessionManager/currentSession", "", &session)
	return session.IPAddress
}

// cookie logs in over SOAP and returns the cookie.
func (p *proxied) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	body := `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Login xmlns="urn:vim25">` +
		`<_this type="SessionManager">SessionManager</_this><userName>` + adminUser + `</userName><password>` +
		adminPassword + `</password></Login></Body></Envelope>`
	resp, err := p.client.Post("https://"+p.proxy+"/sdk", "text/xml", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if cookies := resp.Cookies(); resp.StatusCode == http.StatusOK && len(cookies) == 1 {
		return cookies[0]
	}
	t.Fatalf("%s, cookies %v", resp.Status, resp.Cookies())
	return nil
}

func TestWaitsPassTheProxiesAndTheServerSeesWhoAsks(t *testing.T) {
	for file, want := range map[string]string{
		"nginx-pass-through.conf": proxyHost, "haproxy-pass-through.cfg": proxyHost,
		"nginx-re-encrypt.conf": clientHost, "haproxy-re-encrypt.cfg": clientHost,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var args []string
			if want == clientHost {
				args = []string{"--trusted-proxy", proxyHost + "/32"}
			}
			p := behind(t, file, nil, args...)
			p.login(t)
			if got := p.address(t); got != want {
				t.Errorf("the server sees %s, want %s", got, want)
			}
			if c := p.cookie(t); !c.Secure || !c.HttpOnly {
				t.Errorf("the cookie is %v", c)
			}
			version, changed := p.watch(t), make(chan error, 1)
			time.AfterFunc(2*time.Second, func() {
				changed <- p.call(t.Context(), "SessionManager/SessionManager/UpdateServiceMessage",
					`{"message":"down at noon"}`, nil)
			})
			update, err := p.wait(t, version)
			if err := errors.Join(err, <-changed); err != nil || !strings.Contains(update, "down at noon") {
				t.Errorf("the wait returns %s, %v", update, err)
			}
		})
	}
}

// TestTheTimeoutsOfTheProxiesAreThoseOfWaits shows that the 35 minutes in the files are what waits depend on: with
// three seconds in their place, the proxy cuts them.
func TestTheTimeoutsOfTheProxiesAreThoseOfWaits(t *testing.T) {
	for _, file := range []string{
		"nginx-pass-through.conf", "haproxy-pass-through.cfg", "nginx-re-encrypt.conf", "haproxy-re-encrypt.cfg",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p := behind(t, file, func(text string) string { return replace(t, text, "35m", "3s") })
			p.login(t)
			// Without the proxy, it would last until the client gives up.
			if update, err := p.wait(t, p.watch(t)); err == nil || os.IsTimeout(err) {
				t.Errorf("the wait outlives the time-out of the proxy: %s, %v", update, err)
			}
		})
	}
}

func TestTheProxiesRefuseAServerWithAnotherCertificate(t *testing.T) {
	for _, file := range []string{"nginx-re-encrypt.conf", "haproxy-re-encrypt.cfg"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir, other := t.TempDir(), t.TempDir()
			certificate(t, dir)
			certificate(t, other)
			server, proxy := free(t, "127.0.0.1"), free(t, proxyHost)
			p := run(t, []string{"VIGATE_ADMIN_PASSWORD=" + adminPassword}, program(t), "serve", "--data",
				filepath.Join(dir, "data"), "--listen", server, "--tls-cert", filepath.Join(other, "cert.pem"),
				"--tls-key", filepath.Join(other, "key.pem"))
			serving(t, p, "https://"+server)
			running := startProxy(t, file, dir, snippet(t, file, dir, proxy, server))
			eventually(t, running, func(ctx context.Context) error {
				out, err := exec.CommandContext(ctx, program(t), "ready", "https://"+proxy).CombinedOutput()
				switch {
				case err == nil:
					t.Fatal("the proxy passes requests to a server that it can't know")
				case !bytes.Contains(out, []byte("is not ready: 50")):
					return fmt.Errorf("the proxy does not answer yet: %s", out)
				}
				return nil
			})
		})
	}
}

func TestEveryFileForProxiesIsTested(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, "deploy", "proxy"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		kind, rest, _ := strings.Cut(e.Name(), "-")
		if !strings.Contains("nginx haproxy envoy", kind) || !strings.HasPrefix(rest, "pass-through.") &&
			!strings.HasPrefix(rest, "re-encrypt.") {
			t.Errorf("no test knows %s", e.Name())
		}
	}
	if len(entries) != 6 {
		t.Errorf("there are %d files", len(entries))
	}
}

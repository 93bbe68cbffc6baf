package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// through connects to the TLS listener through CONNECT. header is added to the CONNECT request.
func (r *running) through(header string) *tls.Conn {
	r.t.Helper()
	c, answer := r.raw("CONNECT sdkTunnel:8089 HTTP/1.1\r\nHost: sdkTunnel:8089\r\n" + header + "\r\n")
	resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != 200 {
		r.t.Fatalf("CONNECT: %v, %v", resp, err)
	}
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "sdkTunnel"})
}

func TestCONNECTToTheTunnelReachesTheTLSSideWithTheClientsCertificate(t *testing.T) {
	dir := t.TempDir()
	own, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Handler: tellPeer})
	tr := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: r.Addr("plain").String()}),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own.current().tls}},
	}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://sdkTunnel:8089/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if !strings.HasPrefix(string(b), "127.0.0.1 local=true tls=true certs=1 ") {
		t.Fatalf("got %q", b)
	}
	if leaf := resp.TLS.PeerCertificates[0]; leaf.VerifyHostname("sdkTunnel") != nil {
		t.Errorf("the certificate is for %v", leaf.DNSNames)
	}
}

func TestCONNECTToAnythingElseIsRefused(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	inside := r.Addr("tls").String()
	for target, want := range map[string]int{
		inside: 403, "localhost:8089": 403, "sdkTunnel:443": 403, "sdkTunnel:08089": 403,
		"sdkTunnel:8089.": 400, "169.254.169.254:80": 403, "sdkTunnel": 403,
	} {
		_, answer := r.raw("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\nGET /x HTTP/1.1\r\n" +
			"Host: localhost\r\n\r\n")
		if code := status(t, answer); code != want {
			t.Errorf("%s: %d, want %d", target, code, want)
		}
		if rest, _ := io.ReadAll(answer); len(rest) > 0 {
			t.Errorf("%s: and then %q", target, rest)
		}
	}
	_, answer := r.raw("CONNECT sdkTunnel:8089 HTTP/1.1\r\nHost: sdkTunnel:8089\r\nContent-Length: 5\r\n\r\nhello")
	if code := status(t, answer); code != 400 {
		t.Errorf("with a body: %d", code)
	}
}

func TestOnlyThePlainListenerTunnels(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	c, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "CONNECT sdkTunnel:8089 HTTP/1.1\r\nHost: sdkTunnel:8089\r\n\r\n")
	if code := status(t, bufio.NewReader(c)); code != 405 {
		t.Errorf("TLS listener: %d", code)
	}
	without := start(t, Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0"})
	_, answer := without.raw("CONNECT sdkTunnel:8089 HTTP/1.1\r\nHost: sdkTunnel:8089\r\n\r\n")
	if code := status(t, answer); code != 405 {
		t.Errorf("without a TLS listener: %d", code)
	}
}

func TestHeadersInsideATunnelCannotNameAnotherClient(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	c := r.through("X-Forwarded-For: 203.0.113.9\r\n") // the proxy adds it
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	if !strings.HasPrefix(string(b), "203.0.113.9 local=false tls=true") {
		t.Fatalf("got %q", b)
	}
}

func TestBytesRightBehindTheCONNECTAreNotLost(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	// The client speaks before it has received the answer to CONNECT. Its first flight is recorded from a
	// handshake over a pipe.
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go tls.Client(ours, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(t.Context())
	hello := make([]byte, 16<<10)
	n, err := theirs.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	_, answer := r.raw("CONNECT sdkTunnel:8089 HTTP/1.1\r\nHost: sdkTunnel:8089\r\n\r\n" + string(hello[:n]))
	if resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect}); err != nil ||
		resp.StatusCode != 200 {
		t.Fatalf("CONNECT: %v, %v", resp, err)
	}
	if b, err := answer.Peek(3); err != nil || b[0] != 22 || b[1] != 3 { // a handshake record: ServerHello
		t.Fatalf("after the hello came %v, %v", b, err)
	}
}

func TestTunnelsAreBoundedAndTheirPlacesComeBack(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Limits: Limits{Tunnels: 1}})
	first := r.through("")
	if err := first.Handshake(); err != nil {
		t.Fatal(err)
	}
	connect := "CONNECT sdkTunnel:8089 HTTP/1.1\r\nHost: sdkTunnel:8089\r\n\r\n"
	_, answer := r.raw(connect)
	if code := status(t, answer); code != 503 {
		t.Fatalf("the second got %d", code)
	}
	fmt.Fprint(first, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if _, err := io.ReadAll(first); err != nil { // the server closed its side
		t.Fatal(err)
	}
	first.Close()
	for range 1000 {
		_, answer := r.raw(connect)
		resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect})
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == 200 {
			return
		}
	}
	t.Fatal("the place is never free again")
}

func TestADrainEndsIdleTunnelsAndLetsBusyOnesFinish(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		io.WriteString(w, "finished")
	}), OnDrain: func() { close(leave) }})
	busy := r.through("")
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	r.stop()
	resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "finished" {
		t.Errorf("%q, %v", b, err)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if c, err := new(net.Dialer).DialContext(context.Background(), "tcp", r.Addr("plain").String()); err == nil {
		c.Close()
		t.Error("the plain listener is still open")
	}
}

func TestCONNECTNamesItsTargetInAnyCase(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	for _, target := range []string{"sdktunnel:8089", "SDKTUNNEL:8089", "SdkTunnel:8089"} {
		c, answer := r.raw("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n")
		// Without its method, the response would end with the connection, which waits for a handshake.
		resp, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect})
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v, %v", target, resp, err)
		}
		c.Close()
	}
}

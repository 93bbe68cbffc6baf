package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/object"
)

var errRefused = errors.New("refused by the test")

// dial connects to the double, unless that refuses the connection.
func (d *double) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.refusals.Add(-1) >= 0 {
		return nil, errRefused
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func TestACallThatFindsNoPlaceIsRefusedForNow(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "    max-requests: 1\n    wait-timeout: 200ms\n")
	c := s.login(1)
	read := envelope(strings.Replace(readOne, "VM", c.machine("DC0_H0_VM0").Value, 1))
	in, out := make(chan struct{}), make(chan struct{})
	arrived := sync.OnceFunc(func() { close(in) })
	d.set(func() {
		d.intercept = func(method string, _ http.ResponseWriter, _ *http.Request) bool {
			if method == "CurrentTime" {
				arrived()
				<-out
			}
			return false
		}
	})
	first := make(chan error, 1)
	go func() {
		status, answer, err := c.try(http.DefaultTransport, envelope(currentTime))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, answer)
		}
		first <- err
	}()
	<-in
	before := d.count("RetrievePropertiesEx")
	a, answer := s.ask(http.MethodPost, "/sdk", read, "Cookie", "vmware_soap_session="+c.token())
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" ||
		!strings.Contains(answer, "Fault") {
		t.Errorf("while the only place is taken: %s, Retry-After %q, %s", a.Status, a.Header.Get("Retry-After"), answer)
	}
	if d.count("RetrievePropertiesEx") != before {
		t.Error("the upstream was asked")
	}
	close(out)
	if err := <-first; err != nil {
		t.Errorf("the call that has the place: %v", err)
	}
	if status, answer := c.post(read); status != http.StatusOK {
		t.Errorf("when the place is free: %d %s", status, answer)
	}
}

func TestACallThatWasNotSentIsMadeOnceMore(t *testing.T) {
	d := newDouble(t)
	d.server.Config.SetKeepAlivesEnabled(false) // each call makes a connection
	s := stage(t, d, "")
	c := s.login(1)
	vm := object.NewVirtualMachine(c.Client.Client, c.machine("DC0_H0_VM0"))
	d.refusals.Store(1)
	if _, err := vm.PowerOff(s.ctx()); err != nil || d.count("PowerOffVM_Task") != 1 {
		t.Errorf("a change: %v, made %d times", err, d.count("PowerOffVM_Task"))
	}
	if d.refusals.Load() >= 0 {
		t.Error("no connection was refused")
	}
	const many = 1000
	d.refusals.Store(many)
	status, answer := c.post(envelope(`<PowerOnVM_Task xmlns="urn:vim25"><_this type="VirtualMachine">` +
		vm.Reference().Value + `</_this></PowerOnVM_Task>`))
	tried := many - d.refusals.Swap(0)
	if status != http.StatusServiceUnavailable || tried < 2 || tried > 10 || d.count("PowerOnVM_Task") != 0 {
		t.Errorf("without an upstream: %d after %d connections, %s", status, tried, answer)
	}
}

func TestAMessageThatIsTooLongIsRefusedBeforeItArrives(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	before := d.total()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	s.must(err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /sdk HTTP/1.1\r\nHost: front\r\nContent-Type: text/xml\r\nCookie: "+
		"vmware_soap_session=%s\r\nContent-Length: %d\r\n\r\n", c.token(), 64<<20+1)
	s.must(err)
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	s.must(err)
	answer, err := io.ReadAll(a.Body)
	s.must(err)
	if a.StatusCode != http.StatusInternalServerError || !strings.Contains(string(answer), "InvalidRequest") ||
		d.total() != before {
		t.Errorf("%s %s", a.Status, answer)
	}
}

package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/session"
)

func TestALongAnswerBreaksOffWhenItsSessionEnds(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	vm := c.machine("DC0_H0_VM0").Value
	gone := make(chan struct{})
	d.set(func() {
		d.intercept = func(method string, w http.ResponseWriter, _ *http.Request) bool {
			if method != "RetrievePropertiesEx" {
				return false
			}
			_, _ = io.WriteString(w, strings.Repeat("<a/>", 50_000))
			_ = http.NewResponseController(w).Flush()
			<-gone
			_, _ = io.WriteString(w, strings.Repeat("<b/>", 50_000))
			return true
		}
	})
	r, err := http.NewRequestWithContext(s.ctx(), http.MethodPost, s.server.URL+"/sdk",
		strings.NewReader(envelope(strings.Replace(readOne, "VM", vm, 1))))
	s.must(err)
	for _, cookie := range c.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	s.must(err)
	defer func() { _ = a.Body.Close() }()
	first := make([]byte, 100_000)
	_, err = io.ReadFull(a.Body, first)
	s.must(err)
	for l := range s.vigate.Sessions.All() {
		s.must(s.vigate.Sessions.End(context.Background(), l, session.Logout(l.Session())))
	}
	close(gone)
	rest, err := io.ReadAll(a.Body)
	if err == nil || strings.Contains(string(rest), "<b/>") {
		t.Errorf("the client got %d more bytes, and %v", len(rest), err)
	}
}

func TestALongAnswerArrivesWholeWithItsIDsReplaced(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	vm := c.machine("DC0_H0_VM0").Value
	key := d.secrets()[0]
	filler := strings.Repeat("<a>4207e2d2-0c3b-5c47-a8b5-6a6a6a6a6a6a</a>", 20_000)
	d.set(func() {
		d.intercept = func(method string, w http.ResponseWriter, _ *http.Request) bool {
			if method == "RetrievePropertiesEx" {
				_, _ = io.WriteString(w, filler+key+filler+"session["+key+"]x"+filler)
			}
			return method == "RetrievePropertiesEx"
		}
	})
	status, got := c.post(envelope(strings.Replace(readOne, "VM", vm, 1)))
	const nobody = "00000000-0000-0000-0000-000000000000"
	if want := filler + c.key + filler + "session[" + c.key + "]x" + filler; status != http.StatusOK ||
		got != want && got != strings.Replace(want, "session["+c.key, "session["+nobody, 1) {
		t.Errorf("status %d, %d bytes, want %d", status, len(got), len(want))
	}
}

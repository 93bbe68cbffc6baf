package server

import (
	"io"
	"net/http"
	"testing"
)

func TestAServerTellsWhatItCarriesAndWhatItRefused(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, Config{
		PlainHTTP: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Limits: Limits{Connections: 2, AddressConnections: 2, Requests: 1},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-leave
		}),
	})
	if status, _ := r.get("admin", "/debug/pprof/cmdline", nil); status != http.StatusOK {
		t.Fatal(status)
	}
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	_, first := r.raw(request)
	<-entered
	_, second := r.raw(request)
	if got := status(t, second); got != http.StatusServiceUnavailable {
		t.Fatalf("a request past the limit: %d", got)
	}
	third, _ := r.raw("")
	if _, err := third.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("a connection past the limit: %v", err)
	}
	l := r.Load()
	if l.InFlight != 1 || l.Connections["plain"] != 2 || l.RefusedRequests != 1 || l.RefusedConnections != 1 {
		t.Errorf("in the midst: %+v", l)
	}
	close(leave)
	if got := status(t, first); got != http.StatusOK {
		t.Fatal(got)
	}
	if got := r.Requests(); got != 2 {
		t.Errorf("%d requests let in, want one of each listener", got)
	}
}

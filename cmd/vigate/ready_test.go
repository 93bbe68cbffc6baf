package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/cli/command"
)

func TestReadySaysWhyAServerIsNot(t *testing.T) {
	for _, c := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the server is shutting down", http.StatusServiceUnavailable)
		}, "is not ready: 503 Service Unavailable: the server is shutting down"},
		{func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/readyz" {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}
		}, "is not ready: 302 Found"},
		{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			"is not ready: 404 Not Found: no reason given"},
	} {
		s := httptest.NewTLSServer(c.answer)
		t.Cleanup(s.Close)
		var said bytes.Buffer
		root := rootCommand()
		root.SetErr(&said)
		code := cli.Execute(t.Context(), root, []string{"ready", s.URL})
		if code != command.ExitUnavailable || !strings.Contains(said.String(), c.want) {
			t.Errorf("exit code %d, %q, want %q", code, said.String(), c.want)
		}
	}
}

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
)

func TestTheConfigurationLimitsConnectionsPerAddressAndTheirIdleTime(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), func(c *config.Config) {
		c.MaxAddressConnections, c.IdleConnectionTimeout = 1, time.Second
	})
	dial := func() (net.Conn, *bufio.Reader) {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(r.plain, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c, bufio.NewReader(c)
	}
	c, answers := dial()
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	_, second := dial()
	if _, err := second.ReadByte(); err != io.EOF {
		t.Errorf("a second connection of the address: %v", err)
	}
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection: %v", err)
	}
}

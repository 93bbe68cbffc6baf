package server

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Other clients may hold the whole bound for headers.
func TestAClientHelloTakesNoRoomFromTheHeaderBehindIt(t *testing.T) {
	r := startForAll(t, Limits{Headers: 1}, answers(nil))
	for size, served := range map[int]bool{1200: true, 4 << 10: false} {
		c := r.dial("tls")
		_, err := fmt.Fprintf(c, "GET /short HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("a", size))
		var answer *http.Response
		if err == nil {
			answer, err = http.ReadResponse(bufio.NewReader(c), nil)
		}
		if (err == nil && answer.StatusCode == 200) != served {
			t.Errorf("a header of %d bytes: %v", size, err)
		}
	}
	if n := r.shares.headers.held(); n != 0 {
		t.Errorf("%d bytes are counted", n)
	}
	// The bytes of a long ClientHello stay counted until the request is done.
	q := newAddressQuota(100<<10, 0)
	m := &meter{quota: q, owner: "x"}
	m.read(5 << 10)
	m.hello()
	if m.read(1 << 10); q.held() != 3<<10 {
		t.Errorf("%d bytes are counted of a long hello and a short header", q.held())
	}
	if m.read(2 << 10); q.held() != 4<<10 {
		t.Errorf("%d bytes are counted with a longer header", q.held())
	}
	if m.close(); q.held() != 0 {
		t.Errorf("%d bytes are counted at the end", q.held())
	}
}

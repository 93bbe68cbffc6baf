package client

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// BenchmarkCurrentSession compares a read of currentSession through the client with the same call
// through net/http and encoding/json alone, on the same server. Its sub-benchmark "ratio"
// alternates between the two, so that both see the same noise, and reports the ratio of the
// medians.
func BenchmarkCurrentSession(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("vmware-api-session-id") == "" {
			newFake().ServeHTTP(w, r)
			return
		}
		reply(w, sessionJSON)
	}))
	defer srv.Close()
	const token = "0123456789abcdef0123456789abcdef01234567"
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: defaultTimeout}
	defer hc.CloseIdleConnections()
	bare := func() { bareCurrentSession(b, hc, srv.URL, token) }

	c, err := New(b.Context(), Config{URL: srv.URL, Release: "8.0.1.0"})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ServiceContent(b.Context()); err != nil {
		b.Fatal(err)
	}
	c.SetToken(NewToken(token))
	typed := func() {
		session, err := c.CurrentSession(b.Context())
		if err != nil || session.CallCount != 3 {
			b.Fatal(err, session)
		}
	}
	for name, call := range map[string]func(){"bare": bare, "client": typed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		var bares, typeds []time.Duration
		for b.Loop() {
			t0 := time.Now()
			bare()
			t1 := time.Now()
			typed()
			bares, typeds = append(bares, t1.Sub(t0)), append(typeds, time.Since(t1))
		}
		slices.Sort(bares)
		slices.Sort(typeds)
		b.ReportMetric(float64(typeds[len(typeds)/2])/float64(bares[len(bares)/2]), "client/bare")
	})
}

// bareCurrentSession makes the call as a program without the client would: with a timeout, and with
// a decoded result.
func bareCurrentSession(b *testing.B, hc *http.Client, base, token string) {
	target := base + "/sdk/vim25/8.0.1.0/SessionManager/SessionManager/currentSession"
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("vmware-api-session-id", token)
	resp, err := hc.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	var session types.UserSession
	if err != nil || json.Unmarshal(data, &session) != nil || session.CallCount != 3 {
		b.Fatal(err, session)
	}
}

// BenchmarkDecode measures the part of a call that decoding takes.
func BenchmarkDecode(b *testing.B) {
	body := []byte(sessionJSON)
	b.Run("inspect", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := inspect(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var session *types.UserSession
			if err := decode(body, &session); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var session *types.UserSession
			if err := json.Unmarshal(body, &session); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package client

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkSessionList reads a list of 100,000 sessions over HTTP.
func BenchmarkSessionList(b *testing.B) {
	const sessions = 100_000
	var list strings.Builder
	for i := range sessions {
		list.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
		list.WriteString(strings.Replace(sessionJSON, `"52f1"`, fmt.Sprintf(`"52f1a2b3-0000-4000-8000-%012d"`, i), 1))
	}
	list.WriteString("]")
	f := newFake()
	f.on("GET SessionManager.sessionList", func(w http.ResponseWriter, _ *http.Request) { reply(w, list.String()) })
	c := start(b, f, nil)
	login(b, c)
	b.SetBytes(int64(list.Len()))
	b.ReportAllocs()
	for b.Loop() {
		all, err := c.SessionList(b.Context())
		if err != nil || len(all) != sessions || all[sessions-1].Key != "52f1a2b3-0000-4000-8000-000000099999" {
			b.Fatal(len(all), err)
		}
	}
}

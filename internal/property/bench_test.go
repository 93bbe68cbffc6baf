package property

import (
	"context"
	"fmt"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// BenchmarkRetrieveCurrentSession measures govmomi's request for its current session, without a
// binding.
func BenchmarkRetrieveCurrentSession(b *testing.B) {
	ann := newFixture(b).login("ann")
	req := &types.RetrievePropertiesExRequestType{
		SpecSet: []types.PropertyFilterSpec{spec(sessionManager, "currentSession")}}
	for _, token := range []string{ann.token, ""} {
		b.Run(fmt.Sprintf("session=%v", token != ""), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := &vim.Call{Object: pc, Name: "RetrievePropertiesEx", Args: req, Token: secret.New(token),
					Release: vim.FirstRelease, Binding: "test"}
				if _, fault := ann.Do(context.Background(), c); fault != nil {
					b.Fatal(fault)
				}
			}
		})
	}
}

// BenchmarkOneChange measures the time from a change until n waiting clients have their responses,
// and a change for which none of them waits.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("waiters=%d", n), func(b *testing.B) {
			f := newFixture(b)
			clients, waits, versions := make([]*client, n), make([]<-chan answer, n), make([]string, n)
			for i := range clients {
				clients[i] = f.login(fmt.Sprint("user", i%100)).collector() // one user may not have that many sessions
				clients[i].filter(false, spec(sessionManager, "message"))
				versions[i] = clients[i].check("").Version
			}
			wait := func() {
				for i, c := range clients {
					waits[i] = c.wait(versions[i], nil)
				}
			}
			wait()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				f.message(fmt.Sprint(i))
				for k, w := range waits {
					versions[k] = (<-w).set.Version
				}
				wait()
			}
		})
		b.Run(fmt.Sprintf("idle=%d", n), func(b *testing.B) {
			f := newFixture(b)
			for i := range n {
				c := f.login(fmt.Sprint("user", i%100)).collector()
				c.filter(false, spec(sessionManager, "message"))
				c.waits(c.check("").Version)
			}
			b.ReportAllocs()
			for b.Loop() {
				f.login("bob").end()
			}
			b.StopTimer()
			f.Drain()
		})
	}
}

package session_test

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkSessions lists, counts and selects 100,000 sessions of 1,000 users, from the start of the command to
// the end of its output. The server runs in the same process.
func BenchmarkSessions(b *testing.B) {
	const n = 100_000
	clients := []string{"govc/0.55.0", "pyvmomi Python/3.13.5 (Linux; 6.12; x86_64)", "Terraform/1.13.1"}
	sessions := make([]userSession, n)
	for i := range sessions {
		key, user := fmt.Sprintf("52f1a2b3-0000-4000-8000-%012d", i), fmt.Sprintf(`VSPHERE.LOCAL\svc-%03d`, i%1000)
		address := fmt.Sprintf("10.0.%d.%d", i>>8&15, i&255)
		sessions[i] = live(key, user, clients[i%len(clients)], address, time.Hour, time.Duration(i)*time.Millisecond)
	}
	v := startVCenter(b, sessions...)
	sh := newShell(b, v.URL)
	sh.must("login")
	for _, line := range []string{
		"session top", "session top --by address", "session ls --sort user,idle", "session ls -o json",
		"session rm --user svc-007 --dry-run",
	} {
		b.Run(line, func(b *testing.B) {
			for b.Loop() {
				sh.must(line)
			}
		})
	}
}

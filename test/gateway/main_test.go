// Package gateway holds vigate's gateway against the clients that people use: govc, pyVmomi and the packages of
// govmomi. They talk to govmomi's simulator directly and through a front, for a vCenter and for an ESXi host, and must
// see the same.
//
// It also runs many clients at once while upstream sessions end, servers are killed and started again, and one client
// tries what belongs to another.
//
// The tests run without the race detector, because the simulators of one process share data that they change. Races
// of the gateway are looked for by the tests of its packages, with one simulator each.
package gateway

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for a condition. It is long enough for the slowest machines.
const patience = 5 * time.Minute

// during is how long many clients run at once.
var during = flag.Duration("during", 0, "how long many clients run at once; 0: for a fixed number of calls")

// bin is a directory for the programs that the tests build.
var bin string

func TestMain(m *testing.M) {
	// Tests create data directories, which must not be writable by the group.
	syscall.Umask(0o022)
	switch os.Getenv(childVariable) {
	case childGovc:
		os.Exit(work())
	case childSite:
		os.Exit(serveSite(os.Args[1], os.Args[2]))
	}
	var err error
	if bin, err = os.MkdirTemp("", "vigate-gateway-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

//go:build linux

package proof_test

import (
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/load"
	"github.com/vigate/vigate/test/proof/site"
)

// diskSize holds a store for a short while of load, in bytes.
const diskSize = 48 << 20

// TestAFullDiskIsToldAndHealsAndLosesNothing: while there is no room, changes
// are refused with a reason and reads go on; with room again all is well without
// a restart; a crash on the full disk loses nothing that was acknowledged.
func TestAFullDiskIsToldAndHealsAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := own(t, "node")
	d, err := site.NewDisk(dir, diskSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("remove disk: %v", err)
		}
	})
	t.Logf("the disk is %s", d.How)
	starve(t, d, d.Dir)
}

// TestAFileThatMayNotGrowIsAFullDisk is the same by a limit of the process, the
// way that is there where mounting is not permitted.
func TestAFileThatMayNotGrowIsAFullDisk(t *testing.T) {
	t.Parallel()
	dir := own(t, "node")
	starve(t, site.LimitedDisk(dir), dir)
}

func starve(t *testing.T, d *site.Disk, dir string) {
	t.Helper()
	x := newTrial(t, bin.vigate, dir)
	x.work(500*time.Millisecond, 700*time.Millisecond, acknowledged)
	for range 2 {
		x.must(d.Fill(x.node.PID()))
		x.until("a change is refused", func(p load.Probe) bool { return p.Busy && p.Retry > 0 })
		x.wait(300*time.Millisecond, 600*time.Millisecond)
		if p := x.probe(); !p.Reads || p.Writes {
			t.Errorf("on the full disk: %+v, want reads and no changes", p)
		}
		x.must(d.Free(x.node.PID()))
		began := time.Now()
		x.until("changes are made again", func(p load.Probe) bool { return p.Writes && p.Reads })
		t.Logf("healed %v after there was room", time.Since(began).Round(time.Millisecond))
		x.work(200*time.Millisecond, 300*time.Millisecond, acknowledged)
		x.must(x.load.Audit(t.Context()))
	}
	// Nothing that was refused for want of room was done.
	if n, lost := x.load.Stats.Orphans.Load(), x.load.Stats.NoAnswer.Load(); n > lost {
		t.Errorf("%d sessions began that the clients were told did not", n)
	}
	x.must(d.Fill(x.node.PID()))
	x.until("a change is refused", func(p load.Probe) bool { return p.Busy })
	x.must(x.node.Kill())
	x.load.Recorder().Died(x.node.Name)
	x.must(d.Free(0))
	_, err := x.node.Start(t.Context())
	x.must(err)
	x.work(200*time.Millisecond, 300*time.Millisecond, acknowledged)
	if busy := x.load.Stats.LastBusy.Load(); busy != nil {
		t.Logf("a client was told: %s", *busy)
	}
	x.prove()
}

// probe is one try of a change and of a read.
func (x *trial) probe() load.Probe { return x.load.Probe(x.load.First()) }

func (x *trial) until(what string, ok func(load.Probe) bool) {
	x.t.Helper()
	eventually(x.t, what, func() bool { return ok(x.probe()) })
}

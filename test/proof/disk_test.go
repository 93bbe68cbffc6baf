//go:build linux

package proof_test

import (
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/load"
	"github.com/vigate/vigate/test/proof/site"
)

// diskSize is enough for the store during a short load, in bytes.
const diskSize = 48 << 20

// TestAFullDiskIsToldAndHealsAndLosesNothing: while there is no space, changes are refused with a
// reason, and reads continue. When there is space again, everything works without a restart. A
// crash on the full disk loses no acknowledged change.
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

// TestAFileThatMayNotGrowIsAFullDisk does the same with a limit of the process. This works even if
// mounting is not permitted.
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
		x.until("reads go on while changes are refused", func(p load.Probe) bool { return p.Reads && p.Busy })
		x.must(d.Free(x.node.PID()))
		began := time.Now()
		x.until("changes are made again", func(p load.Probe) bool { return p.Writes && p.Reads })
		t.Logf("healed %v after there was space", time.Since(began).Round(time.Millisecond))
		x.work(200*time.Millisecond, 300*time.Millisecond, acknowledged)
		x.must(x.load.Audit(t.Context()))
	}
	// A change that was refused for lack of space must not have happened.
	if n, lost := x.load.Stats.Orphans.Load(), x.load.Stats.NoAnswer.Load(); n > lost {
		t.Errorf("%d sessions began although clients were told that they did not", n)
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
		t.Logf("a refusal: %s", *busy)
	}
	x.prove()
}

// probe tries a change and a read.
func (x *trial) probe() load.Probe { return x.load.Probe(x.load.First()) }

func (x *trial) until(what string, ok func(load.Probe) bool) {
	x.t.Helper()
	eventually(x.t, what, func() bool { return ok(x.probe()) })
}

package process

import "testing"

func TestASmallHeapGetsRoomAndALargeOneHalfAsMuchAgainAsItHolds(t *testing.T) {
	const mib = 1 << 20
	for inUse, want := range map[uint64]uint64{0: 64, 3: 64, 41: 64, 64: 96, 100: 150, 400: 600, 8000: 12000} {
		live := reserved + inUse*mib
		room := live * uint64(gcPercent(live)) / 100 / mib
		if room > want || room+live/mib/100+2 < want { // percentages are whole numbers
			t.Errorf("%d MiB in use: room for %d MiB of garbage, want %d", inUse, room, want)
		}
	}
	if p := gcPercent(mib); p != 100 {
		t.Errorf("before anything was collected: %d %%", p)
	}
}

// A storm of logins begins and ends between two measurements of the heap.
func TestASettingThatIsLateLetsLittleMoreGarbageGather(t *testing.T) {
	const mib = 1 << 20
	for _, hashes := range []uint64{1, 2, 8, 64} {
		idle, busy := uint64(reserved+3*mib), reserved+(3+19*hashes)*mib
		late := busy * uint64(gcPercent(idle)) / 100
		if most := reserved + (3+19*hashes)*mib; late > most {
			t.Errorf("%d hashes on the setting of an idle server: %d MiB of garbage", hashes, late/mib)
		}
		if late = idle * uint64(gcPercent(busy)) / 100; late < reserved/2 {
			t.Errorf("none on the setting for %d hashes: room for %d MiB only", hashes, late/mib)
		}
	}
}

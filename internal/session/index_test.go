package session

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/vigate/vigate/internal/store"
)

// crowd returns a Hash. The hashes of one street have the same head.
func crowd(street, house byte) Hash { return Hash{0: street, 31: house} }

func TestSessionsThatShareAHeadAreToldApart(t *testing.T) {
	var x index[Hash]
	want := map[Hash]*Live{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		h := crowd(byte(random.IntN(3)), byte(random.IntN(4)))
		switch random.IntN(3) {
		case 0: // add one, or a second one with the same hash
			l := &Live{token: h}
			x.put(h, l)
			want[h] = l
		case 1:
			x.remove(h, &Live{token: h}) // another session than the one in the index
			if l := want[h]; l != nil {
				x.remove(h, l)
				delete(want, h)
			}
		}
		for street := range byte(3) {
			for house := range byte(4) {
				h := crowd(street, house)
				if got := x.get(h); got != want[h] {
					t.Fatalf("%v: %p, want %p", h, got, want[h])
				}
			}
		}
		if n := len(slices.Collect(x.all())); n != len(want) || x.size() != n {
			t.Fatalf("yields %d, size %d, want %d", n, x.size(), len(want))
		}
	}
}

func TestASessionIsOneSmallObject(t *testing.T) {
	if n := unsafe.Sizeof(Live{}); n > 128 {
		t.Errorf("%d bytes, and the next size that is allocated is 144", n)
	}
	const n = 50_000
	before := heap()
	table := NewTable(nil)
	fillTable(table, n)
	each := float64(heap()-before) / n
	runtime.KeepAlive(table)
	t.Logf("%.0f bytes a session", each)
	if each > 230 {
		t.Errorf("%.0f bytes a session", each)
	}
}

// fillTable adds n sessions of a thousand users.
func fillTable(table *Table, n int) {
	table.reset()
	for i := range n {
		table.put(tableRecord(i))
	}
	table.whole()
}

func tableRecord(i int) store.Record {
	s := sampleSession()
	random := rand.NewPCG(uint64(i), 1)
	for b := s.token[:]; len(b) > 0; b = b[8:] {
		binary.LittleEndian.PutUint64(b, random.Uint64())
	}
	binary.LittleEndian.PutUint64(s.Key[:], random.Uint64())
	s.Identity.FullName = "The user " + string(rune('a'+i%1000))
	return storeRecord(s)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkPut(b *testing.B) {
	const n = 10_000
	records := make([]store.Record, n)
	for i := range records {
		records[i] = tableRecord(i)
	}
	b.ReportAllocs()
	table := NewTable(nil)
	for i := 0; b.Loop(); i++ {
		if i%n == 0 {
			b.StopTimer()
			table = NewTable(nil)
			b.StartTimer()
		}
		table.put(records[i%n])
	}
}

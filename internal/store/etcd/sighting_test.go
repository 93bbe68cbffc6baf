package etcd

import (
	"testing"

	"github.com/vigate/vigate/internal/store"
)

func TestACounterIsSeenInTheNewestCommitOnceAndInAppendedRecordsOnly(t *testing.T) {
	var s sightings
	s.init()
	see := func(id string, at store.Revision) {
		s.see(store.Record{Kind: store.Event, ID: id, Revision: at})
	}
	want := func(c counter, ok bool) {
		t.Helper()
		if got, is := s.take(store.Event); got != c || is != ok {
			t.Errorf("took %+v, %t, want %+v, %t", got, is, c, ok)
		}
	}
	want(counter{}, false)
	see(store.SequenceID(7), 20)
	see(store.SequenceID(9), 20)
	see(store.SequenceID(8), 20)
	see(store.SequenceID(6), 19)
	want(counter{9, 20}, true)
	want(counter{}, false) // a wrong one is tried once
	see("not-a-sequence-i", 30)
	see("7f9c24e8-3b13-4b5e-9b5e-0d2f4f1c2a3b", 30)
	want(counter{}, false)
	see(store.SequenceID(3), 31)
	want(counter{3, 31}, true)
	s.see(store.Record{Kind: store.Session, ID: store.SequenceID(1), Revision: 40})
	want(counter{}, false)
}

func TestTheLengthOfASequencesIDIsKnown(t *testing.T) {
	if n := len(store.SequenceID(1)); n != sequenceLen {
		t.Errorf("%d, not %d", n, sequenceLen)
	}
}

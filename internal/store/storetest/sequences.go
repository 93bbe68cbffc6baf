package storetest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/vigate/vigate/internal/store"
)

func sequencer(t *testing.T, s store.Store) store.Sequencer {
	t.Helper()
	q, ok := s.(store.Sequencer)
	if !ok {
		t.Fatal("the store is no store.Sequencer")
	}
	return q
}

// advance moves the kind's sequence on.
func (f *fixture) advance(k store.Kind, n uint64) {
	f.Helper()
	if err := sequencer(f.T, f.Store).Advance(f.ctx, k, n); err != nil {
		f.Fatalf("Advance: %v", err)
	}
}

// numbers wants the sequences to be there and no others.
func (f *fixture) numbers(s store.Store, want map[store.Kind]uint64) {
	f.Helper()
	got, err := sequencer(f.T, s).Sequences(f.ctx)
	if err != nil || !maps.Equal(got, want) {
		f.Fatalf("Sequences = %v, %v, want %v", got, err, want)
	}
}

var sequences = []test{
	{"a sequence says how far it has come", func(f *fixture) {
		f.numbers(f.Store, map[store.Kind]uint64{})
		f.must(store.Append(store.Event, nil, never), store.Append(store.Event, nil, never), store.Append(store.Spent, nil, never))
		f.must(store.Delete(store.Event, store.SequenceID(2)), store.Put(store.Role, store.SequenceID(7), nil, never))
		f.numbers(f.Store, map[store.Kind]uint64{store.Event: 2, store.Spent: 1})
		f.reopen()
		f.numbers(f.Store, map[store.Kind]uint64{store.Event: 2, store.Spent: 1})
	}},
	{"an advanced sequence goes on above, and never back", func(f *fixture) {
		second := f.data.Second(f.T, f.Store)
		f.must(store.Append(store.Event, []byte("1"), never))
		if _, err := second.Commit(f.ctx, store.Append(store.Event, []byte("2"), never)); err != nil {
			f.Fatal(err)
		}
		f.advance(store.Event, 40)
		f.advance(store.Event, 7)
		f.advance(store.Spent, 1<<40)
		f.numbers(second, map[store.Kind]uint64{store.Event: 40, store.Spent: 1 << 40})
		f.must(store.Append(store.Event, []byte("41"), never))
		f.has(store.Event, store.SequenceID(41), "41")
		f.has(store.Event, store.SequenceID(2), "2")
		if _, err := second.Commit(f.ctx, store.Append(store.Event, []byte("42"), never)); err != nil {
			f.Fatal(err)
		}
		f.has(store.Event, store.SequenceID(42), "42")
	}},
	{"an advanced sequence is durable", func(f *fixture) {
		f.advance(store.Event, 1)
		f.advance(store.Event, 99)
		f.reopen()
		f.numbers(f.Store, map[store.Kind]uint64{store.Event: 99})
		f.must(store.Append(store.Event, []byte("100"), never))
		f.has(store.Event, store.SequenceID(100), "100")
	}},
	{"records put under numbers of a sequence are below what is appended then", func(f *fixture) {
		f.must(store.Put(store.Event, store.SequenceID(3), []byte("3"), never), store.Put(store.Event, store.SequenceID(5), []byte("5"), never))
		f.advance(store.Event, 8) // 6 to 8 were removed
		f.must(store.Append(store.Event, []byte("9"), never))
		f.has(store.Event, store.SequenceID(3), "3")
		f.has(store.Event, store.SequenceID(5), "5")
		f.has(store.Event, store.SequenceID(9), "9")
	}},
	{"streams go on when a sequence is advanced", func(f *fixture) {
		watch := f.follow(f.Store)
		watch.upTo(f.must(store.Put(store.Setting, "s", nil, never)))
		f.advance(store.Event, 10)
		newest, err := f.Newest(f.ctx)
		if err != nil {
			f.Fatal(err)
		}
		watch.upTo(newest)
		if n := len(watch.upTo(f.must(store.Append(store.Event, nil, never))).state); n != 2 {
			f.Errorf("the stream leads to %d records, want 2", n)
		}
	}},
	{"sequences are advanced amid appends", advanceAmidAppends},
	{"a closed store has no sequences", func(f *fixture) {
		closed := sequencer(f.T, f.Store)
		f.reopen()
		if _, err := closed.Sequences(f.ctx); !errors.Is(err, store.ErrClosed) {
			f.Errorf("Sequences of a closed store: %v", err)
		}
		if err := closed.Advance(f.ctx, store.Event, 1); !errors.Is(err, store.ErrClosed) {
			f.Errorf("Advance of a closed store: %v", err)
		}
		f.numbers(f.Store, map[store.Kind]uint64{})
	}},
}

// advanceAmidAppends: whatever the order, no number is given twice, and none at
// or below what had been advanced to before.
func advanceAmidAppends(f *fixture) {
	const workers, steps = 4, 30
	handles := [2]store.Store{f.Store, f.data.Second(f.T, f.Store)}
	race(workers, func(w int) {
		s := handles[w%2]
		rng := rand.New(rand.NewPCG(1, uint64(w)))
		for i := range steps {
			if w == 0 {
				if err := s.(store.Sequencer).Advance(f.ctx, store.Event, uint64(i*10+rng.IntN(10))); err != nil {
					f.Errorf("Advance: %v", err)
				}
			} else if _, err := s.Commit(f.ctx, store.Append(store.Event, []byte{byte(w), byte(i)}, never)); err != nil {
				f.Errorf("Commit: %v", err)
			}
		}
	})
	newest, err := f.Newest(f.ctx)
	if err != nil {
		f.Fatal(err)
	}
	state := f.follow(f.Store).upTo(newest).state
	if len(state) != (workers-1)*steps {
		f.Errorf("%d records, want %d", len(state), (workers-1)*steps)
	}
	last, err := sequencer(f.T, f.Store).Sequences(f.ctx)
	if err != nil || last[store.Event] < (steps-1)*10 {
		f.Errorf("the sequences are %v, %v", last, err)
	}
	for n := range state {
		if got, err := store.Sequence(n.id); err != nil || got > last[store.Event] {
			f.Errorf("appended as %q, the sequence is at %d, %v", n.id, last[store.Event], err)
		}
	}
}

package event_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

func FuzzAStoredEventIsReadOrSkipped(f *testing.F) {
	f.Add([]byte(plain(1).Value))
	f.Add([]byte(`{"type":"EventEx","id":"vigate.x","user":"A\\b","origin":"C\\d",` +
		`"created":"2025-03-04T05:06:07Z","args":{"a":"b"}}`))
	f.Add([]byte(`{"v":9}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		l := event.NewLog(event.Options{Logger: slog.New(slog.DiscardHandler)})
		l.View().Put(store.Record{Kind: store.Event, ID: store.NumberedID(1), Value: value})
		e, ok := l.Latest()
		if ok == (l.Damaged() == 1) {
			t.Fatalf("taken %v and damaged %d", ok, l.Damaged())
		}
		if !ok {
			return
		}
		// An event that was read can be posted and read again.
		l.View().Put(store.Record{Kind: store.Event, ID: store.NumberedID(2), Value: l.Change(e).Record.Value})
		if l.Damaged() != 0 {
			t.Fatalf("%+v can't be read when posted again", e)
		}
	})
}

// filled returns a log with n events of a thousand users. The events are divided among the parts in
// the proportions of their quotas.
func filled(n int) *event.Log {
	l := event.NewLog(event.Options{Now: func() time.Time { return epoch }})
	l.View().Reset()
	for i := range n {
		typ := "UserLoginSessionEvent"
		switch part := i % 20; {
		case part < 5:
			typ = "RoleAddedEvent"
		case part < 9:
			typ = "BadUsernameSessionEvent"
		case part < 12:
			typ = "SessionEvent"
		}
		c := l.Change(event.Event{
			Type: typ, User: fmt.Sprintf(`VSPHERE.LOCAL\user-%d`, i%1000), SessionID: fmt.Sprintf("52%034d", i),
			Address: "192.0.2.17", UserAgent: "govc/0.55.0", Locale: "en",
		})
		c.Record.ID = store.NumberedID(uint64(i + 1))
		l.View().Put(c.Record)
	}
	l.View().Whole()
	return l
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAnEventInMemoryIsSmall(t *testing.T) {
	const n = 20_000
	before := heap()
	l := filled(n)
	each := float64(heap()-before) / n
	runtime.KeepAlive(l)
	t.Logf("%.0f bytes an event", each)
	if each > 450 {
		t.Errorf("%.0f bytes an event", each)
	}
}

func BenchmarkQueryOf100000(b *testing.B) {
	before := heap()
	l := filled(100_000)
	b.Logf("%.0f bytes an event", float64(heap()-before)/100_000)
	for name, f := range map[string]event.Filter{
		"newest 1000": {},
		"one user":    {Users: &event.Users{Keys: []string{`vsphere.local\user-5`}}},
		"none":        {Types: []string{"RoleEvent"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Query(f)
			}
		})
	}
}

func BenchmarkFillWith100000(b *testing.B) {
	for b.Loop() {
		filled(100_000)
	}
}

package event_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

var epoch = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

// bench is a log with a store and a clock that the test sets.
type bench struct {
	*event.Log
	store store.Store
	m     *store.Mirror
	now   *time.Time
	said  *bytes.Buffer
}

func begin(t testing.TB, o event.Options) *bench {
	t.Helper()
	now := epoch
	s := storetest.NewMemory(func() time.Time { return now })
	t.Cleanup(func() { s.Close() })
	return beginOn(t, s, &now, o)
}

// beginOn returns a new log of an existing store.
func beginOn(t testing.TB, s store.Store, now *time.Time, o event.Options) *bench {
	t.Helper()
	b := &bench{store: s, now: now, said: &bytes.Buffer{}}
	o.Now, o.Logger = func() time.Time { return *now }, slog.New(slog.NewTextHandler(b.said, nil))
	b.Log = event.NewLog(o)
	b.m = store.NewMirror(s, b.Log.View())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if err := b.m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) post(t testing.TB, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if _, err := b.m.Commit(t.Context(), b.Change(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func keys(events []event.Event) []int32 {
	out := []int32{}
	for _, e := range events {
		out = append(out, e.Key)
	}
	return out
}

func same(t *testing.T, what string, got []event.Event, want ...int32) {
	t.Helper()
	if !slices.Equal(keys(got), want) {
		t.Errorf("%s: keys %v, want %v", what, keys(got), want)
	}
}

func TestAnEventIsReadAsItWasPosted(t *testing.T) {
	b := begin(t, event.Options{})
	e := event.Event{
		Type: "EventEx", ID: "vigate.ticket.issued", User: `VSPHERE.LOCAL\bob`, Created: epoch.Add(-time.Hour),
		SessionID: "s", Address: "::1", UserAgent: "govc", Locale: "de", LoginTime: epoch.Add(-2 * time.Hour),
		CallCount: 7,
		Subject:   "alice", Message: "a\nb", PrevMessage: "c", Severity: "warning", Tag: "t",
		Args: map[string]string{"k": "v"},
	}
	b.post(t, e)
	got, ok := b.Latest()
	e.Key, e.ChainID = 1, 1
	if !ok || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", e) {
		t.Errorf("got  %+v\nwant %+v", got, e)
	}
}

func TestAnEventWithoutATimeGetsTheCurrentOne(t *testing.T) {
	b := begin(t, event.Options{})
	b.post(t, event.Event{Type: "SessionEvent"},
		event.Event{Type: "SessionEvent", Created: time.Date(9999999, 1, 1, 0, 0, 0, 0, time.UTC)})
	for _, e := range b.Query(event.Filter{}) {
		if !e.Created.Equal(epoch) {
			t.Errorf("created %v", e.Created)
		}
	}
}

func TestAnyEventCanBePosted(t *testing.T) {
	b := begin(t, event.Options{})
	odd := time.FixedZone("odd", 99*60*60+7)
	b.post(t, event.Event{}, event.Event{Type: "\x00", Created: epoch.In(odd), LoginTime: epoch.In(odd)})
	got := b.Query(event.Filter{Types: []string{"Event"}})
	same(t, "both are read", got, 1, 2)
	if e := got[1]; !e.Created.Equal(epoch) || !e.LoginTime.Equal(epoch) {
		t.Errorf("times %v and %v", e.Created, e.LoginTime)
	}
}

func TestHostileStringsAreCleanedAndTruncated(t *testing.T) {
	b := begin(t, event.Options{})
	huge := "\x1b[2J\x00\xff" + strings.Repeat("é", 1<<20)
	args := map[string]string{}
	for i := range 100 {
		args[fmt.Sprintf("%03d", i)+huge] = huge
	}
	b.post(t, event.Event{
		Type: "BadUsernameSessionEvent", User: huge, UserAgent: huge + "\n", Message: "a\r\nb\tc\u0085\u202e" + huge,
		PrevMessage: huge, Subject: huge, Address: huge,
		LoginTime: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), Args: args,
	})
	e, ok := b.Latest()
	if !ok {
		t.Fatal("the event was not taken")
	}
	for name, s := range map[string]string{"user": e.User, "agent": e.UserAgent, "subject": e.Subject,
		"address": e.Address} {
		if len(s) > 512 || len(s) < 500 || !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\x1b\n") {
			t.Errorf("%s: %d bytes %.20q", name, len(s), s)
		}
	}
	if !strings.HasPrefix(e.Message, "a\nbc[2J") || len(e.Message) > 16<<10 || len(e.PrevMessage) > 16<<10 {
		t.Errorf("message %.20q, %d and %d bytes", e.Message, len(e.Message), len(e.PrevMessage))
	}
	if !strings.HasPrefix(e.User, "\ufffd[2J") {
		t.Errorf("user %.20q: the cleaned name is that of another user", e.User)
	}
	if len(e.Args) < 8 || len(e.Args) > 32 || !e.LoginTime.IsZero() {
		t.Errorf("%d args, login %v", len(e.Args), e.LoginTime)
	}
	text := 0
	for k, v := range e.Args {
		text += len(k) + len(v)
		if k[:3] > "031" || len(k) > 128 || len(v) > 512 {
			t.Errorf("arg %.10q of %d bytes: %d bytes", k, len(k), len(v))
		}
	}
	if text > 8<<10 {
		t.Errorf("%d bytes of args", text)
	}
}

func TestAnExpiredEventIsInvisibleBeforeItIsTrimmed(t *testing.T) {
	b := begin(t, event.Options{Retention: time.Hour})
	b.post(t, event.Event{Type: "SessionEvent"})
	*b.now = epoch.Add(time.Minute)
	b.post(t, event.Event{Type: "SessionEvent"})
	*b.now = epoch.Add(time.Hour)
	same(t, "query", b.Query(event.Filter{}), 2)
	*b.now = epoch.Add(time.Hour + time.Minute - 1)
	if _, ok := b.Latest(); !ok {
		t.Error("gone too early")
	}
	*b.now = epoch.Add(time.Hour + time.Minute)
	if e, ok := b.Latest(); ok {
		t.Errorf("latest is %+v", e)
	}
	if n, err := b.Trim(t.Context(), b.m, 10, false); n != 0 || err != nil {
		t.Errorf("trimmed %d that have only expired, %v", n, err)
	}
	if n, err := b.Trim(t.Context(), b.m, 10, true); n != 2 || err != nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
	*b.now = epoch
	same(t, "after the trim", b.Query(event.Filter{}))
	b.post(t, event.Event{Type: "SessionEvent"})
	same(t, "the next", b.Query(event.Filter{}), 3)
}

func TestAnExpiredEventStaysAsLongAsAnOlderOne(t *testing.T) {
	b := begin(t, event.Options{Retention: time.Hour})
	late := event.Event{Type: "SessionEvent", Created: epoch.Add(time.Minute)} // its clock is ahead
	b.post(t, event.Event{Type: "SessionEvent"}, late, event.Event{Type: "SessionEvent"})
	*b.now = epoch.Add(time.Hour)
	for _, want := range []int{1, 0} {
		if n, err := b.Trim(t.Context(), b.m, 10, true); n != want || err != nil {
			t.Errorf("trimmed %d, %v, want %d", n, err, want)
		}
	}
	same(t, "query", b.Query(event.Filter{}), 2)
	*b.now = epoch.Add(time.Hour + time.Minute)
	if n, err := b.Trim(t.Context(), b.m, 10, true); n != 2 || err != nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
}

func TestOnlyTheNewestAreKept(t *testing.T) {
	b := begin(t, event.Options{Keep: 3})
	for range 10 {
		b.post(t, event.Event{Type: "SessionEvent"})
	}
	same(t, "in memory", b.Query(event.Filter{}), 8, 9, 10)
	if n, err := b.Trim(t.Context(), b.m, 2, true); n != 2 || err != nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
	if n, err := b.Trim(t.Context(), b.m, 1000, false); n != 5 || err != nil {
		t.Errorf("trimmed %d, %v", n, err)
	}
	if n, err := b.Trim(t.Context(), b.m, 1000, false); n != 0 || err != nil {
		t.Errorf("trimmed %d more, %v", n, err)
	}
	if n := len(storetest.Appended(t, b.store, store.Event)); n != 3 {
		t.Errorf("%d events are left in the store", n)
	}
	same(t, "after the trim", b.Query(event.Filter{}), 8, 9, 10)
	same(t, "to a log that begins then", beginOn(t, b.store, b.now, event.Options{Keep: 2}).Query(event.Filter{}),
		9, 10)
}

// counting counts commits and records the maximum number of changes in one.
type counting struct {
	event.Committer
	commits, most int
}

func (c *counting) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	c.commits++
	c.most = max(c.most, len(changes))
	return c.Committer.Commit(ctx, changes...)
}

func TestTrimCommitsInBoundedBatches(t *testing.T) {
	b := begin(t, event.Options{Keep: 1})
	changes := make([]store.Change, 600)
	for i := range changes {
		changes[i] = b.Change(event.Event{Type: "SessionEvent"})
	}
	if _, err := b.m.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	c := &counting{Committer: b.m}
	if n, err := b.Trim(t.Context(), c, 1<<20, false); n != 599 || err != nil || c.commits != 3 || c.most != 257 {
		t.Errorf("trimmed %d, %v in %d commits of up to %d", n, err, c.commits, c.most)
	}
}

func TestTrimReturnsTheErrorThatStoppedIt(t *testing.T) {
	b := begin(t, event.Options{Keep: 1})
	b.post(t, event.Event{Type: "SessionEvent"}, event.Event{Type: "SessionEvent"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := b.Trim(ctx, b.m, 10, false); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
}

func record(seq uint64, value string) store.Record {
	return store.Record{Kind: store.Event, ID: store.NumberedID(seq), Value: []byte(value),
		Revision: store.Revision(seq)}
}

func plain(seq uint64) store.Record {
	return record(seq, `{"type":"SessionEvent","user":"u","created":"2025-03-04T05:06:07Z"}`)
}

func TestAnUnreadableRecordIsCountedAndSkipped(t *testing.T) {
	said := &bytes.Buffer{}
	l := event.NewLog(event.Options{Logger: slog.New(slog.NewTextHandler(said, nil))})
	l.View().Reset()
	l.View().Put(plain(1))
	bad := []store.Record{
		record(2, ``), record(3, `{`), record(4, `{}`), record(5, `[]`),
		record(6, `{"type":"E","user":"","created":"x"}`),
		record(7, `{"v":1,"type":"E","user":"","created":"2025-03-04T05:06:07Z"}`),
		record(8, `{"type":"E","created":"9999-03-04T05:06:07Z"}`),
		record(9, `{"type":"E","created":"2025-03-04T05:06:07Z","msg":"`+strings.Repeat("x", 1<<20)+`"}`),
		record(10, strings.Repeat("[", 100_000)),
	}
	for _, r := range bad {
		l.View().Put(r)
	}
	l.View().Put(record(11, `{"type":"E","user":"u","created":"2025-03-04T05:06:07Z","later":{"version":1}}`))
	l.View().Whole()
	same(t, "what can be read", l.Query(event.Filter{}), 1, 11)
	if n := l.Damaged(); n != len(bad) {
		t.Errorf("%d damaged", n)
	}
	if n := strings.Count(said.String(), "unreadable event skipped"); n != len(bad) {
		t.Errorf("%d warnings:\n%s", n, said)
	}
	for range 1000 {
		l.View().Put(record(3, `{`))
	}
	if n := strings.Count(said.String(), "unreadable event skipped"); n > 10 {
		t.Errorf("%d warnings: the log is flooded", n)
	}
	l.View().Reset()
	l.View().Whole()
	if n := l.Damaged(); n != 0 {
		t.Errorf("%d damaged after a new whole state", n)
	}
}

// appended returns the record of an event with an id that contains no number.
func appended(at store.Revision, id string) store.Record {
	r := plain(1)
	r.ID, r.Revision = id, at
	return r
}

func TestAWholeStateMayArriveInAnyOrder(t *testing.T) {
	l := event.NewLog(event.Options{Keep: 4})
	l.View().Put(plain(99))
	l.View().Reset()
	l.View().Put(appended(70, "b"))
	for _, seq := range []uint64{7, 3, 9, 1, 8, 2, 10, 4, 6, 5} {
		l.View().Put(plain(seq))
	}
	l.View().Put(appended(60, "z"))
	l.View().Put(appended(70, "a"))
	l.View().Put(store.Record{Kind: store.Numbers, ID: store.NumberingID(store.Event),
		Value: []byte(`{"counted":15}`), Revision: 2})
	l.View().Delete(store.Event, store.NumberedID(10))
	l.View().Delete(store.Event, store.NumberedID(1))
	same(t, "before it is whole", l.Query(event.Filter{}), 99)
	l.View().Whole()
	same(t, "whole", l.Query(event.Filter{}), 9, 16, 17, 18)

	l.View().Put(appended(71, "c"))
	same(t, "and on", l.Query(event.Filter{}), 16, 17, 18, 19)
	l.View().Delete(store.Event, "a")
	l.View().Delete(store.Event, store.NumberedID(5))
	l.View().Delete(store.Event, "nonsense")
	same(t, "after deletes", l.Query(event.Filter{}), 16, 18, 19)
	l.View().Put(appended(72, "d"))
	same(t, "and on", l.Query(event.Filter{}), 16, 18, 19, 20)

	c := &commits{}
	if _, err := l.Trim(t.Context(), c, 6, false); err != nil {
		t.Fatal(err)
	}
	want := store.Numbering{Counted: 15}.Trim(store.Event, 2, 9)
	for _, seq := range []uint64{2, 3, 4, 6, 7, 8} {
		want = append(want, store.Clear(store.Event, store.NumberedID(seq)))
	}
	want[0].Record.Value = []byte(`{"removed":8,"counted":15}`)
	if !reflect.DeepEqual(c.changes, want) {
		t.Errorf("trimmed by %+v, want %+v", c.changes, want)
	}
}

type commits struct{ changes []store.Change }

func (c *commits) Commit(_ context.Context, changes ...store.Change) (store.Revision, error) {
	c.changes = append(c.changes, changes...)
	return 1, nil
}

func TestAReadersEventsStayWhileTheLogChanges(t *testing.T) {
	b := begin(t, event.Options{Keep: 50})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			got := keys(b.Query(event.Filter{}))
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) || len(got) > 50 {
				t.Errorf("keys %v", got)
			}
		}
	}()
	for i := range 300 {
		b.post(t, event.Event{Type: "SessionEvent"})
		if i%7 == 0 && i > 10 {
			// The sweep of an earlier version may do this.
			records := storetest.Appended(t, b.store, store.Event)
			if _, err := b.m.Commit(t.Context(), store.Clear(store.Event, records[len(records)-5].ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-done
}

func TestKeysIncreaseAndBeginAgainAtOneAfterTheLargest(t *testing.T) {
	l := event.NewLog(event.Options{})
	var last int32
	for _, seq := range []uint64{1, 2, 1000, math.MaxInt32 - 1, math.MaxInt32} {
		l.View().Put(plain(seq))
		e, _ := l.Latest()
		if e.Key <= last || uint64(e.Key) != seq {
			t.Errorf("event %d has key %d after %d", seq, e.Key, last)
		}
		last = e.Key
	}
	for seq, want := range map[uint64]int32{math.MaxInt32 + 1: 1, 2 * math.MaxInt32: math.MaxInt32,
		2*math.MaxInt32 + 1: 1} {
		l := event.NewLog(event.Options{})
		l.View().Put(plain(seq))
		if e, _ := l.Latest(); e.Key != want || e.ChainID != want {
			t.Errorf("event %d has key %d, want %d", seq, e.Key, want)
		}
	}
	c, err := l.NewCollector(event.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	l.View().Put(plain(math.MaxInt32 + 1))
	got, err := c.ReadNext(1000)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "a collector reads on", got, 1, 2, 1000, math.MaxInt32-1, math.MaxInt32, 1)
}

func TestWaitersWakeAtTheNextEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := event.NewLog(event.Options{})
		changed := l.Changed()
		if l.Changed() != changed {
			t.Error("two waiters have two channels")
		}
		var woken atomic.Int32
		for range 2 {
			go func() { <-changed; woken.Add(1) }()
		}
		synctest.Wait()
		if woken.Load() != 0 {
			t.Error("woken by nothing")
		}
		l.View().Put(plain(1))
		synctest.Wait()
		if woken.Load() != 2 {
			t.Errorf("%d woken", woken.Load())
		}
		changed = l.Changed()
		l.View().Delete(store.Event, store.NumberedID(1))
		select {
		case <-changed:
			t.Error("woken by a deletion")
		default:
		}
		l.View().Reset()
		l.View().Put(plain(2))
		select {
		case <-changed:
			t.Error("woken by half a state")
		default:
		}
		l.View().Whole()
		<-changed
	})
}

func TestAnEventIsVisibleWhenItsCommitReturns(t *testing.T) {
	b := begin(t, event.Options{})
	changed := b.Changed()
	b.post(t, event.Event{Type: "SessionEvent"})
	select {
	case <-changed:
	default:
		t.Error("not woken")
	}
	same(t, "query", b.Query(event.Filter{}), 1)
}

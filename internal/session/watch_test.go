package session

import (
	"testing"

	"github.com/vigate/vigate/internal/store"
)

func told(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhoWatchesOneSessionIsNotWokenByOthers(t *testing.T) {
	f := newFixture(t, nil, nil)
	mine, _ := f.start(t, "ann")
	other, _ := f.start(t, "ann")
	any, one := f.Changed(), f.ChangedOne(mine)

	if err := f.Update(t.Context(), other, func(s *Session) ([]store.Change, error) {
		s.Locale = "de"
		return nil,
			nil
	}); err != nil {
		t.Fatal(err)
	}
	if !told(any) || told(one) {
		t.Error("another session's change is told to who watches all, and to nobody else")
	}
	if err := f.End(t.Context(), other, Logout(other.Session())); err != nil {
		t.Fatal(err)
	}
	f.start(t, "ben")
	if told(one) {
		t.Error("told of others' ends and logins")
	}
	if err := f.Update(t.Context(), mine, func(s *Session) ([]store.Change, error) {
		s.Locale = "ja"
		return nil,
			nil
	}); err != nil {
		t.Fatal(err)
	}
	if !told(one) {
		t.Error("not told of the session's change")
	}
	again := f.ChangedOne(mine)
	if again == one || told(again) {
		t.Error("the next change is not there yet")
	}
	if err := f.End(t.Context(), mine, Logout(mine.Session())); err != nil {
		t.Fatal(err)
	}
	if !told(again) || !told(f.ChangedOne(mine)) {
		t.Error("not told of the session's end")
	}
	if n := len(f.table.watch.one); n != 0 {
		t.Errorf("%d watches are left of sessions that are over", n)
	}
}

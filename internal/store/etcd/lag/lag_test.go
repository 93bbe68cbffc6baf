package lag

import (
	"errors"
	"testing"
	"time"
)

func TestAStreamIsUpToDateAsOfTheQuestionWhoseAnswerItHasReached(t *testing.T) {
	l := New(4 * time.Second)
	began := time.Now()
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	is := func(what string, now, want int, known bool) {
		t.Helper()
		if lag, ok := l.Most(at(now)); lag != time.Duration(want)*time.Second || ok != known {
			t.Errorf("%s: %v behind, known: %v", what, lag, ok)
		}
	}
	is("no stream", 0, 0, false)
	if l.Asking() {
		t.Error("etcd is asked though there is no stream")
	}
	s := l.Add()
	var ended error
	s.Begin(func(err error) { ended = err })
	is("nothing delivered", 0, 0, false)
	s.Whole(5, at(0))
	is("a whole state", 1, 1, true)
	if !l.Asking() {
		t.Error("etcd is not asked")
	}
	l.Answered(5, 9, at(1))
	is("nothing new", 2, 1, true)

	l.Asking()
	l.Answered(7, 9, at(2))
	s.Reached(6)
	is("less than the answer", 3, 2, true)
	s.Reached(7)
	is("the answer, a second later", 3, 1, true)

	l.Asking()
	l.Answered(8, 9, at(3))
	l.Answered(9, 9, at(5))
	if ended != nil {
		t.Errorf("the watch was ended early: %v", ended)
	}
	l.Answered(9, 9, at(6))
	if !errors.Is(ended, ErrSilent) {
		t.Errorf("a silent watch goes on: %v", ended)
	}
	is("a silent watch", 6, 4, true)

	l.Asking()
	l.Answered(3, 3, at(7))
	if !errors.Is(ended, ErrBack) {
		t.Errorf("a watch of replaced data goes on: %v", ended)
	}
	is("replaced data", 7, 0, false)
	l.Remove(s)
	is("no stream any more", 7, 0, false)
}

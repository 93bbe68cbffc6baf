package binding

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

var contentType = []string{"text/test"}

func TestAShortResponseHasALengthAndALongOneIsStreamed(t *testing.T) {
	for _, parts := range []int{0, 1, 3} {
		for _, head := range []bool{false, true} {
			w := httptest.NewRecorder()
			s := Stream{W: w, ContentType: contentType, Head: head,
				Begin: func(h http.Header) { h.Set("X-Begun", "yes") }}
			o := Output{To: &s}
			want := ""
			for range parts {
				part := strings.Repeat("x", FlushAt)
				o.Buf = append(o.Buf, part...)
				o.Flush()
				want += part
			}
			o.Buf = append(o.Buf, "rest"...)
			o.Flush()
			want += "rest"
			if err := s.Finish(o.Buf, o.Err); err != nil {
				t.Errorf("%d parts: %v", parts, err)
			}
			if head {
				want = ""
			}
			h := w.Header()
			if w.Code != 200 || w.Body.String() != want || h.Get("X-Begun") != "yes" ||
				h.Get("Content-Type") != "text/test" {
				t.Errorf("%d parts, HEAD %v: %d %v, %d bytes", parts, head, w.Code, h, w.Body.Len())
			}
			if length := h.Get("Content-Length"); (length == "4") != (parts == 0) {
				t.Errorf("%d parts: the length is %q", parts, length)
			}
		}
	}
}

func TestAFailedResponseIsReplacedOrAborted(t *testing.T) {
	failed := errors.New("failed")
	w := httptest.NewRecorder()
	s := Stream{W: w, Begin: func(h http.Header) { h.Set("X-Begun", "yes") }}
	if !errors.Is(s.Finish([]byte("half"), failed), failed) || w.Body.Len() != 0 || w.Header().Get("X-Begun") != "" {
		t.Errorf("before anything was sent: %v %s", w.Header(), w.Body)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares with this value
			t.Errorf("after a part was sent: %v", p)
		}
	}()
	_, _ = s.Write([]byte("part"))
	t.Errorf("the failure of a part that was sent gives %v", s.Finish([]byte("half"), failed))
}

// broken is a writer that always fails.
type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("gone")
}

func TestNothingIsSentAfterAnError(t *testing.T) {
	var to broken
	o := Output{To: &to}
	for range 3 {
		o.Buf = append(o.Buf, make([]byte, FlushAt)...)
		o.Flush()
	}
	if to.writes != 1 || o.Err == nil {
		t.Errorf("%d writes, %v", to.writes, o.Err)
	}
	var kept Output
	kept.Buf = make([]byte, 2*FlushAt)
	if kept.Flush(); len(kept.Buf) != 2*FlushAt || kept.Err != nil {
		t.Errorf("%d bytes are kept, %v", len(kept.Buf), kept.Err)
	}
}

func TestAWholeResponseHasItsLengthAlsoForHEAD(t *testing.T) {
	for method, want := range map[string]string{"POST": "body", "GET": "body", "HEAD": ""} {
		w := httptest.NewRecorder()
		Send(w, method, 418, contentType, []byte("body"))
		if w.Code != 418 || w.Body.String() != want || w.Header().Get("Content-Length") != "4" ||
			w.Header().Get("Content-Type") != "text/test" {
			t.Errorf("%s: %d %v %s", method, w.Code, w.Header(), w.Body)
		}
	}
}

func TestAFaultOutsideTheAPIIsStatus503(t *testing.T) {
	for _, tt := range []struct {
		fault  *vim.Fault
		status int
		after  string
	}{
		{vim.InvalidRequest("x"), 500, ""},
		{vim.NewFault(&types.NotFound{}, nil), 500, ""},
		{vim.Unavailable(nil), 503, "2"},
		{&vim.Fault{RetryAfter: 1500 * time.Millisecond}, 503, "2"},
		{&vim.Fault{}, 503, ""},
	} {
		h := http.Header{}
		if got := Status(h, tt.fault, 500); got != tt.status || h.Get("Retry-After") != tt.after {
			t.Errorf("%+v: %d %v", tt.fault, got, h)
		}
	}
}

// encoder stands for the encoder of a binding.
type encoder struct {
	Output
	secret string
}

func TestAPoolKeepsOnlyBuffersThatAreNotLarge(t *testing.T) {
	p := NewPool(func(e *encoder) *Output { return &e.Output })
	for _, size := range []int{0, 100, keptBuffer, keptBuffer + 1, 10 * keptBuffer} {
		e := p.Get()
		if e.secret != "" || len(e.Buf) != 0 || cap(e.Buf) == 0 || cap(e.Buf) > 2*keptBuffer || e.To != nil ||
			e.Err != nil {
			t.Errorf("an encoder is %+v, with %d bytes of %d", e, len(e.Buf), cap(e.Buf))
		}
		e.secret, e.To, e.Err = "secret", &broken{}, errors.New("failed")
		e.Buf = append(e.Buf, make([]byte, size)...)
		p.Put(e)
	}
}

// asked is an API that wants the first parts of an answer only.
type asked struct {
	Dispatcher
	wants, asked int
	err          error
}

func (a *asked) Wanted(context.Context, *vim.Call) error {
	if a.asked++; a.asked > a.wants {
		return a.err
	}
	return nil
}

func TestAResponseThatIsNoLongerWantedEndsBetweenItsParts(t *testing.T) {
	over := errors.New("the session has ended")
	part := bytes.Repeat([]byte("x"), FlushAt)
	answer := func(a *asked, parts int, rest []byte) (w *httptest.ResponseRecorder, err error, broken bool) {
		w = httptest.NewRecorder()
		s := Stream{W: w, API: a}
		o := Output{To: &s}
		for range parts {
			o.Buf = append(o.Buf, part...)
			o.Flush()
		}
		o.Buf = append(o.Buf, rest...)
		defer func() { broken = recover() != nil }()
		return w, s.Finish(o.Buf, o.Err), false
	}
	w, err, _ := answer(&asked{err: over}, 0, []byte("short"))
	if err != nil || w.Body.String() != "short" {
		t.Errorf("an answer that is sent at once: %v %q", err, w.Body)
	}
	for _, c := range []struct {
		parts int
		rest  []byte
	}{{1, nil}, {3, nil}, {0, part}, {0, bytes.Repeat(part, 9)}} {
		w, err, _ = answer(&asked{err: over}, c.parts, c.rest)
		if !errors.Is(err, over) || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "" {
			t.Errorf("%d parts and %d bytes, not wanted: %v, %d bytes", c.parts, len(c.rest), err, w.Body.Len())
		}
	}
	for name, c := range map[string]struct {
		parts int
		rest  []byte
	}{"parts": {9, nil}, "a rest": {1, []byte("short")}, "one long part": {0, bytes.Repeat(part, 9)}} {
		a := &asked{err: over, wants: 1}
		w, _, broken := answer(a, c.parts, c.rest)
		if !broken || a.asked != 2 || w.Body.Len() == 0 || w.Body.Len() > pieceSize {
			t.Errorf("%s, wanted at first: broken %v, %d bytes, asked %d times", name, broken, w.Body.Len(), a.asked)
		}
	}
}

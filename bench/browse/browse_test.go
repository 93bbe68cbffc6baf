package browse

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// events is a server whose streams send what the test gives them.
type events chan string

func (e events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookie); err != nil || !strings.HasPrefix(c.Value, "token") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	for {
		select {
		case text := <-e:
			fmt.Fprint(w, text)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

const part = "event: part\ndata: <p>\ndata:\ndata: event: ended\n\n"

func TestWatchersTellWhenAllKnowOfAChange(t *testing.T) {
	t.Parallel()
	other := httptest.NewTLSServer(make(events))
	defer other.Close()
	if w, err := Watch(t.Context(), other.URL, "/", []string{"token1", "stranger"}); err == nil {
		w.Close()
		t.Error("a stream without a session is open")
	}
	e := make(events)
	s := httptest.NewTLSServer(e)
	defer s.Close()
	send := func(texts ...string) func() error {
		return func() error {
			go func() {
				for _, text := range texts {
					e <- text
				}
			}()
			return nil
		}
	}
	_ = send(part)()
	w, err := Watch(t.Context(), s.URL, "/", []string{"token1"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	times, err := w.Next(t.Context(), send(":\n\n", part, ":\n\n", part))
	if err != nil || len(times) != 1 {
		t.Errorf("%v, %v", times, err)
	}
	for w.Parts() < 3 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := w.Rest(t.Context(), time.Millisecond); err != nil || w.Parts() != 3 {
		t.Errorf("%d parts, %v", w.Parts(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if times, err := w.Next(ctx, send(":\n\n")); err == nil {
		t.Errorf("a heartbeat is a change: %v", times)
	}
	if times, err := w.Next(t.Context(), send("event: ended\ndata:\n\n")); err == nil ||
		!strings.Contains(err.Error(), `"ended"`) {
		t.Errorf("%v, %v", times, err)
	}
}

func TestAPageSaysHowManySessionsItHasFound(t *testing.T) {
	t.Parallel()
	p := Page{Text: "<caption>Groups</caption> <caption>Sessions: 12\u202f502 of 100\u202f009. Users: 3.</caption>"}
	if n, of, err := p.Found(); n != 12502 || of != 100009 || err != nil {
		t.Errorf("%d of %d, %v", n, of, err)
	}
	p.Text = "<h1>Log in</h1>"
	if _, _, err := p.Found(); err == nil {
		t.Error("the page of the login has a list")
	}
}

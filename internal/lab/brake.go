package lab

import (
	"net/http"
	"sync"
	"time"
)

// Brake makes a server slow. The zero value does not. It is safe for concurrent use.
type Brake struct {
	mu    sync.Mutex // guards the fields below
	delay time.Duration
	held  chan struct{} // closed when the requests may go on; nil: they may
}

// wrap returns a handler that waits before it calls the handler next. If the client goes meanwhile, next is not
// called.
func (b *Brake) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		delay, held := b.delay, b.held
		b.mu.Unlock()
		if delay > 0 {
			late := time.NewTimer(delay)
			defer late.Stop()
			select {
			case <-late.C:
			case <-r.Context().Done():
				return
			}
		}
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Delay sets how long each request waits that arrives from now on.
func (b *Brake) Delay(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay = d
}

// Hold makes the requests that arrive from now on wait until Release is called.
func (b *Brake) Hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == nil {
		b.held = make(chan struct{})
	}
}

// Release lets all requests go on that Hold has stopped.
func (b *Brake) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held != nil {
		close(b.held)
		b.held = nil
	}
}

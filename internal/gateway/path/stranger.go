package path

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

// serveStranger passes on a request to a service that authenticates its callers itself, without credentials
// of vigate's. Strangers can send such requests, so few of them are in flight, and their bodies are short.
func (x *exchange) serveStranger() {
	release := take(x.h.strangers)
	if release == nil {
		x.refuse(vim.Unavailable(errCrowded))
		return
	}
	defer release()
	if isUpgrade(x.r.Header) {
		x.fail(http.StatusBadRequest, "This service has no WebSocket.")
		return
	}
	body, err := x.h.Bodies.Read(x.w, x.r, maxOpenBody)
	if err != nil {
		x.fail(statusOfBody(err), "The request's body can't be read.")
		return
	}
	defer body.Free()
	x.body, x.whole = body, true
	ctx, cancel := context.WithTimeout(x.r.Context(), strangerTime)
	defer cancel()
	x.forward(ctx)
}

// strangerTime is how long a request without a session may take.
const strangerTime = 2 * time.Minute

func statusOfBody(err error) int {
	switch {
	case errors.Is(err, binding.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, binding.ErrCrowded):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// documents are documents of the upstream that anybody may read: which versions of the API it has. They are
// kept, so that strangers can't load the upstream.
type documents struct {
	mu   sync.Mutex // guards kept
	kept map[string]*documentCopy
}

// documentCopy is a copy of a document.
type documentCopy struct {
	turn   chan struct{} // full while one request gets the document; guards the fields below
	got    time.Time
	status int
	kind   string
	body   []byte
}

const (
	documentTime = time.Minute // how long a copy is used
	maxDocument  = 256 << 10
)

// serve answers a request for a document.
func (d *documents) serve(x *exchange) {
	if x.changes {
		x.w.Header().Set("Allow", "GET, HEAD")
		x.fail(http.StatusMethodNotAllowed, "This is a document.")
		return
	}
	d.mu.Lock()
	if d.kept == nil {
		d.kept = map[string]*documentCopy{}
	}
	c := d.kept[x.service.prefix]
	if c == nil {
		c = &documentCopy{turn: make(chan struct{}, 1)}
		d.kept[x.service.prefix] = c
	}
	d.mu.Unlock()
	select {
	case c.turn <- struct{}{}:
	case <-x.r.Context().Done():
		return
	}
	err := c.refresh(x)
	status, kind, body := c.status, c.kind, c.body
	<-c.turn
	if err != nil {
		fault, _ := x.h.Explain(err)
		x.refuse(fault)
		return
	}
	sandbox(x.w.Header())
	binding.Send(x.w, x.r.Method, status, []string{kind}, body)
}

// refresh gets the document if the copy is too old.
func (c *documentCopy) refresh(x *exchange) error {
	now := x.h.API.Now()
	if !c.got.IsZero() && now.Sub(c.got) < documentTime {
		return nil
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), 10*time.Second)
	defer cancel()
	u := x.h.Upstream.URL()
	u.Path, u.RawPath, u.RawQuery, u.User = x.service.prefix, "", "", nil
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := x.h.Upstream.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument))
	if err != nil {
		return err
	}
	c.got, c.status, c.kind, c.body = now, res.StatusCode, res.Header.Get("Content-Type"), body
	return nil
}

package binding

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

const (
	// uncounted is the size up to which a body is not counted, in bytes. What such
	// bodies take is bounded by the number of requests in flight.
	uncounted = 4 << 10
	// small is the size of what clients send in practice, a token with its signature
	// included. Larger bodies leave a part of the bound to small ones.
	small = 64 << 10
	// defaultBound is for the bodies of one process.
	defaultBound = 256 << 20
	// patience is how long a body waits for room, and maxWaiting how many wait.
	patience   = 2 * time.Second
	maxWaiting = 64
)

// Errors of Read.
var (
	ErrTooLarge = errors.New("the body is larger than its limit")
	ErrCutShort = errors.New("the body did not come whole")
	ErrCrowded  = errors.New("the bodies of requests in flight take too much memory")
)

// Bodies reads requests' bodies, and bounds the memory that all of them take. Anyone
// may send a body, and as slowly as the server's time for a request allows, so that
// the bound must not be a way to shut others out:
//
//   - A body of up to 4 KiB is always read. Nearly all bodies are that small.
//   - A body larger than 64 KiB may only take three quarters of the bound. The rest is
//     for smaller ones.
//   - The bodies from one address, or one /64 of IPv6, may only take a quarter.
//
// A body is counted as it comes, since one that is announced need not come. If there
// is no room for it, a body of which up to 64 KiB have come waits for 2 s; a larger
// one, which would keep what it has from others meanwhile, is refused at once.
type Bodies struct {
	bound int64

	mu      sync.Mutex // guards what follows
	held    int64
	shares  map[string]int64 // of held, by address
	waiting int
	freed   chan struct{} // closed when there is more room; nil: nobody waits
}

// NewBodies makes Bodies of a bound in bytes; 0: 256 MiB. All bindings of a server
// share them.
func NewBodies(bound int64) *Bodies {
	if bound == 0 {
		bound = defaultBound
	}
	return &Bodies{bound: bound, shares: map[string]int64{}}
}

// Held returns how much memory the bodies that are counted take, in bytes.
func (b *Bodies) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Body is a request's body. The zero value is an empty one.
type Body struct {
	Bytes []byte

	bodies *Bodies // nil: not counted
	owner  string
	held   int64
}

// Free forgets the body, so that others get its room. The caller must not keep the
// bytes. Another Free does nothing.
func (b *Body) Free() {
	b.Bytes = nil
	if b.held > 0 {
		b.bodies.give(b.owner, b.held)
		b.held = 0
	}
}

// Read reads the whole body of a request, of up to limit bytes. The caller frees it.
// The error is ErrTooLarge, ErrCutShort or ErrCrowded; there is nothing to free then.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request, limit int64) (Body, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return Body{}, nil
	}
	if r.ContentLength > limit {
		return Body{}, tooLarge(w)
	}
	most := limit + 1 // one byte more than the body has takes its end
	size := int64(512)
	if r.ContentLength >= 0 {
		most = r.ContentLength + 1
		size = min(most, uncounted+1)
	}
	body := Body{Bytes: make([]byte, 0, size)}
	for {
		n, err := r.Body.Read(body.Bytes[len(body.Bytes):cap(body.Bytes)])
		body.Bytes = body.Bytes[:len(body.Bytes)+n]
		switch {
		case int64(len(body.Bytes)) > limit:
			body.Free()
			return Body{}, tooLarge(w)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			body.Free()
			return Body{}, ErrCutShort
		case len(body.Bytes) < cap(body.Bytes):
			continue
		}
		if err := b.grow(r, &body, min(nextSize(int64(cap(body.Bytes))), most)); err != nil {
			body.Free()
			return Body{}, err
		}
	}
}

// Room makes an empty body with room for size bytes, of up to limit. They are counted
// like those of a body that is read, and freed by the caller. Room does not wait, as
// its caller holds the body that the bytes come from.
//
// The error is ErrTooLarge or ErrCrowded; there is nothing to free then.
func (b *Bodies) Room(r *http.Request, size, limit int64) (Body, error) {
	if size > limit {
		return Body{}, ErrTooLarge
	}
	body := Body{}
	if size > uncounted {
		body = Body{bodies: b, owner: peer.Network(peer.From(r.Context()).Address), held: size}
		if !b.has(need{owner: body.owner, more: size, large: size > small}) {
			return Body{}, ErrCrowded
		}
	}
	body.Bytes = make([]byte, 0, size)
	return body, nil
}

// has counts more of a body if that is within the bounds now.
func (b *Bodies) has(n need) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fits(n) {
		return false
	}
	b.add(n)
	return true
}

// nextSize returns the size of the buffer for a body that has filled one of the size.
func nextSize(size int64) int64 {
	for _, step := range []int64{uncounted + 1, small + 1} {
		if size < step {
			return min(2*size, step)
		}
	}
	return 2 * size
}

// tooLarge ends the connection, rather than read the body to its end.
func tooLarge(w http.ResponseWriter) error {
	w.Header()["Connection"] = []string{"close"}
	return ErrTooLarge
}

// grow makes room for size bytes in all.
func (b *Bodies) grow(r *http.Request, body *Body, size int64) error {
	if size > uncounted+1 {
		if body.bodies == nil {
			body.bodies, body.owner = b, peer.Network(peer.From(r.Context()).Address)
		}
		large := max(size, r.ContentLength+1) > small+1
		if err := b.take(r.Context(), need{body.owner, body.held, size - body.held, large}); err != nil {
			return err
		}
		body.held = size
	}
	body.Bytes = append(make([]byte, 0, size), body.Bytes...)
	return nil
}

// need is room for more of a body, in bytes.
type need struct {
	owner      string
	held, more int64
	large      bool // the body is, or says that it will be
}

// take counts more of a body when that is within the bounds, for which it may wait.
func (b *Bodies) take(ctx context.Context, n need) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fits(n) {
		b.add(n)
		return nil
	}
	if n.held > small+1 || b.waiting >= maxWaiting {
		return ErrCrowded
	}
	b.waiting++
	defer func() { b.waiting-- }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for !b.fits(n) {
		if err := b.wait(ctx, timer); err != nil {
			return err
		}
	}
	b.add(n)
	return nil
}

// wait returns when there is more room. The mutex is not held meanwhile.
func (b *Bodies) wait(ctx context.Context, timer *time.Timer) error {
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	freed := b.freed
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-freed:
		return nil
	case <-ctx.Done():
		return ErrCutShort
	case <-timer.C:
		return ErrCrowded
	}
}

// fits reports whether there is room now. The mutex is held.
func (b *Bodies) fits(n need) bool {
	bound := b.bound
	if n.large {
		bound -= bound / 4
	}
	return b.held+n.more <= bound && b.shares[n.owner]+n.more <= b.bound/4
}

// add counts what is needed. The mutex is held.
func (b *Bodies) add(n need) {
	b.held += n.more
	b.shares[n.owner] += n.more
}

func (b *Bodies) give(owner string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.shares[owner] -= n; b.shares[owner] == 0 {
		delete(b.shares, owner)
	}
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

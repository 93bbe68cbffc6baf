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
	// uncounted is the size in bytes up to which a body is not counted. The number of requests in
	// flight limits the memory of such bodies.
	uncounted = 4 << 10
	// small is the maximum size in bytes of the bodies that clients send in practice, including a
	// signed token. Larger bodies can't use a part of the bound that is reserved for small ones.
	small = 64 << 10
	// defaultBound is for all bodies of the process, in bytes.
	defaultBound = 256 << 20
	// patience is how long a body waits for memory, and maxWaiting is how many bodies may wait.
	patience   = 2 * time.Second
	maxWaiting = 64
)

// Errors of Read.
var (
	ErrTooLarge = errors.New("the body is larger than its limit")
	ErrCutShort = errors.New("the body is incomplete")
	ErrCrowded  = errors.New("the bodies of current requests use too much memory")
)

// Bodies reads the bodies of requests and limits the memory that all of them use. Anyone may send a
// body, as slowly as the server's time for a request allows. So the limit must not enable one
// client to lock out others:
//
//   - A body of up to 4 KiB is always read. Nearly all bodies are that small.
//   - Bodies larger than 64 KiB may use three quarters of the bound. The rest is for smaller ones.
//   - The bodies from one address, or one /64 of IPv6, may use a quarter of the bound.
//
// A body is counted as it arrives, because an announced body need not arrive. If there is too
// little memory, a body waits for up to 2 s if at most 64 KiB of it have arrived. A larger body is
// refused immediately, because it would keep memory from others while it waits.
type Bodies struct {
	bound int64

	mu      sync.Mutex // guards the fields below
	held    int64
	shares  map[string]int64 // parts of held by address
	waiting int
	freed   chan struct{} // closed when memory is freed; nil if no body waits
}

// NewBodies creates Bodies with a bound in bytes. If it is 0, the bound is 256 MiB. All bindings of
// a server must share one Bodies.
func NewBodies(bound int64) *Bodies {
	if bound == 0 {
		bound = defaultBound
	}
	return &Bodies{bound: bound, shares: map[string]int64{}}
}

// Held returns the memory of the counted bodies in bytes.
func (b *Bodies) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Body is the body of a request. The zero value is an empty body.
type Body struct {
	Bytes []byte

	bodies *Bodies // nil if the body is not counted
	owner  string
	held   int64
}

// Free releases the body's memory for other bodies. The caller must not use the bytes any more. A
// second call does nothing.
func (b *Body) Free() {
	b.Bytes = nil
	if b.held > 0 {
		b.bodies.release(b.owner, b.held)
		b.held = 0
	}
}

// Read reads the whole body of a request, up to limit bytes. The caller must free it. The error is
// ErrTooLarge, ErrCutShort or ErrCrowded. After an error, there is nothing to free.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request, limit int64) (Body, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return Body{}, nil
	}
	if r.ContentLength > limit {
		return Body{}, tooLarge(w)
	}
	most := limit + 1 // the end of the body is only seen if the buffer has room for one more byte
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

// Room creates an empty body with capacity for size bytes, for a decoded copy of a body. size must
// not exceed limit. The bytes are counted like a body that is read, and the caller must free them.
// Room does not wait for memory, because its caller already holds the original body.
//
// The error is ErrTooLarge or ErrCrowded. After an error, there is nothing to free.
func (b *Bodies) Room(r *http.Request, size, limit int64) (Body, error) {
	if size > limit {
		return Body{}, ErrTooLarge
	}
	body := Body{}
	if size > uncounted {
		body = Body{bodies: b, owner: peer.Network(peer.From(r.Context()).Address), held: size}
		if !b.tryReserve(reservation{owner: body.owner, more: size, large: size > small}) {
			return Body{}, ErrCrowded
		}
	}
	body.Bytes = make([]byte, 0, size)
	return body, nil
}

// tryReserve reserves memory if it is available now.
func (b *Bodies) tryReserve(n reservation) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fits(n) {
		return false
	}
	b.add(n)
	return true
}

// nextSize returns the size of the next buffer for a body that has filled a buffer of the given
// size.
func nextSize(size int64) int64 {
	for _, step := range []int64{uncounted + 1, small + 1} {
		if size < step {
			return min(2*size, step)
		}
	}
	return 2 * size
}

// tooLarge makes the server close the connection instead of reading the rest of the body.
func tooLarge(w http.ResponseWriter) error {
	w.Header()["Connection"] = []string{"close"}
	return ErrTooLarge
}

// grow increases the body's buffer to size bytes.
func (b *Bodies) grow(r *http.Request, body *Body, size int64) error {
	if size > uncounted+1 {
		if body.bodies == nil {
			body.bodies, body.owner = b, peer.Network(peer.From(r.Context()).Address)
		}
		large := max(size, r.ContentLength+1) > small+1
		if err := b.reserve(r.Context(), reservation{body.owner, body.held, size - body.held, large}); err != nil {
			return err
		}
		body.held = size
	}
	body.Bytes = append(make([]byte, 0, size), body.Bytes...)
	return nil
}

// reservation asks for more memory for a body.
type reservation struct {
	owner      string
	held, more int64 // in bytes
	large      bool  // the body is larger than small, or is announced to be
}

// reserve reserves memory. It waits for it if necessary.
func (b *Bodies) reserve(ctx context.Context, n reservation) error {
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

// wait returns when memory was freed. It releases the mutex while it waits.
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

// fits reports whether the memory is available now. The caller holds the mutex.
func (b *Bodies) fits(n reservation) bool {
	bound := b.bound
	if n.large {
		bound -= bound / 4
	}
	return b.held+n.more <= bound && b.shares[n.owner]+n.more <= b.bound/4
}

// add counts the requested memory. The caller holds the mutex.
func (b *Bodies) add(n reservation) {
	b.held += n.more
	b.shares[n.owner] += n.more
}

func (b *Bodies) release(owner string, n int64) {
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

package binding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

// request returns a request with a body, from an address. announced is its Content-Length, or -1.
func request(ctx context.Context, address string, body io.Reader, announced int64) *http.Request {
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = announced
	return r.WithContext(peer.With(ctx, &peer.Peer{Address: address}))
}

func TestABodyWithinItsLimitIsReadCompletely(t *testing.T) {
	const limit = 100_000
	b := NewBodies(0)
	for _, size := range []int{
		0, 1, 511, 512, 513, uncounted - 1, uncounted, uncounted + 1, uncounted + 2, 8192, small - 1, small,
		small + 1, small + 2,
		limit - 1, limit, limit + 1, 3 * limit,
	} {
		for way, reader := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
			"with its end": iotest.DataErrReader,
			"in halves":    iotest.HalfReader,
		} {
			for _, announced := range []int64{int64(size), -1} {
				content := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				w := httptest.NewRecorder()
				body, err := b.Read(w, request(t.Context(), "192.0.2.1", reader(bytes.NewReader(content)), announced),
					limit)
				name := fmt.Sprintf("%d bytes %s, announced %d", size, way, announced)
				if size > limit {
					if !errors.Is(err, ErrTooLarge) || w.Header().Get("Connection") != "close" || b.Held() != 0 {
						t.Errorf("%s: %v %v, %d counted", name, err, w.Header(), b.Held())
					}
					continue
				}
				if err != nil || !bytes.Equal(body.Bytes, content) {
					t.Errorf("%s: %d bytes, %v", name, len(body.Bytes), err)
				}
				if counted := b.Held(); size <= uncounted && counted != 0 || size > uncounted+1 &&
					counted < int64(size) || counted > 2*int64(size)+2 {
					t.Errorf("%s: %d are counted", name, counted)
				}
				body.Free()
				body.Free()
				if b.Held() != 0 || body.Bytes != nil {
					t.Errorf("%s: after it %d are counted", name, b.Held())
				}
			}
		}
	}
	if len(b.shares) != 0 {
		t.Errorf("shares are kept: %v", b.shares)
	}
}

func TestAnIncompleteBodyIsNotCounted(t *testing.T) {
	b := NewBodies(0)
	for _, size := range []int{0, 100, uncounted + 1, small + 1} {
		broken := io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(errors.New("reset")))
		body, err := b.Read(httptest.NewRecorder(), request(t.Context(), "192.0.2.1", broken, 2*small), 2*small)
		if !errors.Is(err, ErrCutShort) || body.Bytes != nil || b.Held() != 0 {
			t.Errorf("%d bytes: %v, %d counted", size, err, b.Held())
		}
	}
}

func TestARequestWithoutABodyHasAnEmptyOne(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, none := range []io.ReadCloser{nil, http.NoBody} {
		r.Body = none
		if body, err := NewBodies(0).Read(httptest.NewRecorder(), r, 10); err != nil || len(body.Bytes) != 0 {
			t.Errorf("%v: %q %v", none, body.Bytes, err)
		}
	}
}

// slow is a body that stalls before its last byte until the test lets it continue.
type slow struct {
	io.Reader
	rest chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		<-s.rest
		return 0, err
	}
	return n, nil
}

// crowd is a set of slow bodies that are being read.
type crowd struct {
	b       *Bodies
	rest    chan struct{}
	all     sync.WaitGroup
	refused chan error
}

func newCrowd(bound int64) *crowd {
	return &crowd{b: NewBodies(bound), rest: make(chan struct{}), refused: make(chan error, 1000)}
}

// add starts reading n bodies of a size. address returns the address of each.
func (c *crowd) add(ctx context.Context, n, size int, address func(int) string) {
	content := strings.Repeat("x", size-1)
	for i := range n {
		c.all.Go(func() {
			content := &slow{strings.NewReader(content), c.rest}
			body, err := c.b.Read(httptest.NewRecorder(), request(ctx, address(i), content, int64(size)), 8<<20)
			if err != nil {
				c.refused <- err
			}
			body.Free()
		})
	}
}

// goOn lets all bodies end, and waits until they are read.
func (c *crowd) goOn() {
	close(c.rest)
	c.all.Wait()
}

func everyone(i int) string { return fmt.Sprintf("192.0.%d.%d", i/250, i%250) }

func nobody(int) string { return "192.0.2.1" }

func TestSlowLargeBodiesLeaveRoomForSmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 16 << 20
		c := newCrowd(bound)
		c.add(t.Context(), 400, 1<<20, everyone)
		synctest.Wait()
		if held := c.b.Held(); held > bound*3/4 || held < bound/4 {
			t.Errorf("400 slow bodies of 1 MiB hold %d bytes, of a bound of %d", held, bound)
		}
		for _, size := range []int{100, uncounted, small} {
			body, err := c.b.Read(httptest.NewRecorder(),
				request(t.Context(), "198.51.100.1", strings.NewReader(strings.Repeat("y", size)), -1), small)
			if err != nil || len(body.Bytes) != size {
				t.Errorf("a body of %d bytes beside them: %v", size, err)
			}
			body.Free()
		}
		if c.b.Held() > bound {
			t.Errorf("then %d bytes are held", c.b.Held())
		}
		c.goOn()
		if n := len(c.refused); c.b.Held() != 0 || n < 300 || n == 400 {
			t.Errorf("%d are refused, and after the others %d bytes are held", n, c.b.Held())
		}
	})
}

func TestOneAddressMayUseAQuarterOfTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 16 << 20
		for _, size := range []int{1 << 20, small} { // large or small
			c := newCrowd(bound)
			c.add(t.Context(), 400, size, nobody)
			synctest.Wait()
			if held := c.b.Held(); held > bound/4 || held < bound/8 {
				t.Errorf("400 slow bodies of %d bytes from one address hold %d bytes, of a bound of %d", size, held,
					bound)
			}
			for _, other := range []string{"198.51.100.1", "2001:db8::1"} {
				large := strings.NewReader(strings.Repeat("y", 2<<20))
				body, err := c.b.Read(httptest.NewRecorder(), request(t.Context(), other, large, -1), 8<<20)
				if err != nil || len(body.Bytes) != 2<<20 {
					t.Errorf("a large body from %s: %v", other, err)
				}
				body.Free()
			}
			if body, err := c.b.Read(httptest.NewRecorder(),
				request(t.Context(), nobody(0), strings.NewReader("z"), -1), small); err != nil {
				t.Errorf("a small body from the same address: %q %v", body.Bytes, err)
			}
			c.goOn()
			if len(c.b.shares) != 0 {
				t.Errorf("shares are kept: %v", c.b.shares)
			}
		}
	})
}

func TestASmallBodyWaitsForRoomForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 4*15*(small+1) + small
		c := newCrowd(bound)
		for i := range 4 {
			c.add(t.Context(), 15, small, func(int) string { return everyone(i) })
		}
		synctest.Wait()
		read := func(ctx context.Context, size int) (time.Duration, error) {
			began := time.Now()
			body, err := c.b.Read(httptest.NewRecorder(),
				request(ctx, "198.51.100.1", strings.NewReader(strings.Repeat("y", size)), int64(size)), 8<<20)
			body.Free()
			return time.Since(began), err
		}
		if held := c.b.Held(); held != bound-small {
			t.Fatalf("%d bytes are held, want nearly %d", held, bound)
		}
		if took, err := read(t.Context(), small); !errors.Is(err, ErrCrowded) || took != patience {
			t.Errorf("without room: %v after %v", err, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(patience/2, cancel).Stop()
		if took, err := read(ctx, small); !errors.Is(err, ErrCutShort) || took != patience/2 {
			t.Errorf("a request that ends: %v after %v", err, took)
		}
		if c.b.waiting != 0 {
			t.Errorf("%d still wait", c.b.waiting)
		}
		time.AfterFunc(patience/2, func() { close(c.rest) })
		if took, err := read(t.Context(), small); err != nil || took != patience/2 {
			t.Errorf("with room after a while: %v after %v", err, took)
		}
		c.all.Wait()
		if c.b.Held() != 0 {
			t.Errorf("after all %d bytes are held", c.b.Held())
		}
	})
}

func TestTheNumberOfWaitingBodiesIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(4 << 20)
		c.add(t.Context(), 300, small, nobody)
		synctest.Wait()
		c.b.mu.Lock()
		waiting := c.b.waiting
		c.b.mu.Unlock()
		if waiting != maxWaiting || len(c.refused) == 0 {
			t.Errorf("%d wait, and %d are refused", waiting, len(c.refused))
		}
		c.goOn()
	})
}

// For bodies of any size in any order, the bound holds and all memory is released.
func TestAnyMixOfBodiesStaysWithinTheBound(t *testing.T) {
	const bound = 1 << 20
	b := NewBodies(bound)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for range 100 {
				size := random.IntN(1 << random.IntN(19))
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					cancel()
				}
				content := strings.NewReader(strings.Repeat("x", size))
				body, err := b.Read(httptest.NewRecorder(),
					request(ctx, everyone(random.IntN(4)), content, int64(size-random.IntN(2)*(size+1))), 1<<18)
				if held := b.Held(); held > bound || held < body.held {
					t.Errorf("%d bytes are held", held)
				}
				if err == nil && len(body.Bytes) != size {
					t.Errorf("%d bytes of %d", len(body.Bytes), size)
				}
				body.Free()
				cancel()
			}
		})
	}
	all.Wait()
	if b.Held() != 0 || len(b.shares) != 0 || b.waiting != 0 {
		t.Errorf("%d bytes are held, %v, %d wait", b.Held(), b.shares, b.waiting)
	}
}

func TestADecodedBodyIsCountedAndDoesNotWait(t *testing.T) {
	b := NewBodies(4 << 20) // one address may use a quarter
	r := request(t.Context(), "192.0.2.1", nil, 0)
	for size, counted := range map[int64]int64{0: 0, uncounted: 0, uncounted + 1: uncounted + 1, 1 << 20: 1 << 20} {
		body, err := b.Room(r, size, 1<<20)
		if err != nil || len(body.Bytes) != 0 || int64(cap(body.Bytes)) < size || b.Held() != counted {
			t.Errorf("%d: %v, %d are counted", size, err, b.Held())
		}
		body.Free()
		if b.Held() != 0 {
			t.Errorf("%d: %d are counted after it", size, b.Held())
		}
	}
	if _, err := b.Room(r, 1<<20+1, 1<<20); !errors.Is(err, ErrTooLarge) || b.Held() != 0 {
		t.Errorf("past the limit: %v", err)
	}
	first, err := b.Room(r, 600<<10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Room(r, 600<<10, 1<<20); !errors.Is(err, ErrCrowded) || b.Held() != 600<<10 {
		t.Errorf("past the bound: %v, %d are counted", err, b.Held())
	}
	first.Free()
}

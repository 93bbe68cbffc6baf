package server

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// readDeadlines records the read deadlines that are set on a connection.
type readDeadlines struct {
	net.Conn
	set []time.Time
}

func (d *readDeadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return d.Conn.SetReadDeadline(t)
}

func TestADeadlineOfReadsIsSetWhenSomebodyReads(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	d := &readDeadlines{Conn: near}
	l := &lazyDeadline{Conn: d, opened: time.Now()}
	later := time.Now().Add(time.Hour)
	for _, at := range []time.Time{time.Unix(1, 0), {}, time.Now().Add(time.Minute), later} {
		if err := l.SetReadDeadline(at); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.set) != 0 {
		t.Fatalf("set %v while nobody reads", d.set)
	}
	read := func() {
		t.Helper()
		go far.Write([]byte("x"))
		if n, err := l.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	read()
	read()
	if len(d.set) != 1 || !d.set[0].Equal(later) {
		t.Fatalf("set %v, want %v once", d.set, later)
	}
	for _, at := range []time.Time{later.Add(time.Minute), {}} {
		if err := l.SetReadDeadline(at); err != nil {
			t.Fatal(err)
		}
		read()
	}
	if len(d.set) != 1 {
		t.Fatalf("set %v, though the deadline was only put off", d.set)
	}
	if err := l.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || len(d.set) != 1 {
		t.Fatalf("a read after its deadline: %v; set %v", err, d.set)
	}
	sooner := time.Now().Add(time.Minute)
	if err := l.SetReadDeadline(sooner); err != nil {
		t.Fatal(err)
	}
	read()
	if len(d.set) != 2 || !d.set[1].Equal(sooner) {
		t.Fatalf("set %v, want %v too", d.set, sooner)
	}
}

func TestADeadlineThatIsMovedEndsTheReadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		l := &lazyDeadline{Conn: near, opened: time.Now()}
		if err := l.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		began, ended := time.Now(), make(chan error, 1)
		go func() { _, err := l.Read(make([]byte, 1)); ended <- err }()
		synctest.Wait()
		if err := l.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := l.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a read after the deadline: %v", err)
		}
		near.Close()
		if err := errors.Join(l.SetReadDeadline(time.Time{}), second(l.Read(make([]byte, 1)))); err == nil {
			t.Error("a closed connection is read")
		}
	})
}

// meanwhile is called once while a deadline is set on a connection.
type meanwhile struct {
	net.Conn
	do func()
}

func (m *meanwhile) SetReadDeadline(t time.Time) error {
	err := m.Conn.SetReadDeadline(t)
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return err
}

// TestADeadlineThatIsMovedWhileAnotherIsSetHolds has the deadline moved while a
// read sets the one before.
func TestADeadlineThatIsMovedWhileAnotherIsSetHolds(t *testing.T) {
	for name, tt := range map[string]struct{ set, then, last time.Duration }{
		"one that is lifted after its time":    {0, -1, 0},
		"one that is put off, and then sooner": {1, 3, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			m := &meanwhile{Conn: near}
			l := &lazyDeadline{Conn: m, opened: time.Now()}
			began, ended := time.Now(), make(chan error, 1)
			move := func(seconds time.Duration) {
				at := time.Time{}
				if seconds >= 0 {
					at = began.Add(seconds * time.Second)
				}
				if err := l.SetReadDeadline(at); err != nil {
					t.Error(err)
				}
			}
			move(tt.set)
			if err := l.apply(); err != nil {
				t.Fatal(err)
			}
			move(tt.then)
			m.do = func() { move(tt.last) }
			go func() { _, err := l.Read(make([]byte, 1)); ended <- err }()
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != tt.last*time.Second {
				t.Errorf("%s: %v after %v, want %ds", name, err, time.Since(began), tt.last)
			}
		})
	}
}

func second(_ int, err error) error { return err }

// TestReadsEndAsUnderTheConnectionsOwnDeadlines holds lazyDeadline to what it
// stands before, over moves of the deadline between and during reads.
func TestReadsEndAsUnderTheConnectionsOwnDeadlines(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			lazy, plain := reads(seed, true), reads(seed, false)
			if len(lazy) == 0 || len(lazy) != len(plain) {
				t.Fatalf("seed %d: %d reads, and %d", seed, len(lazy), len(plain))
			}
			for i := range lazy {
				if lazy[i] != plain[i] {
					t.Fatalf("seed %d: read %d ends %v, of the connection itself %v", seed, i, lazy[i], plain[i])
				}
			}
		})
	}
}

// end is how a read ended, and how long it took.
type end struct {
	expired bool
	took    time.Duration
}

// reads reads from a client that never writes, while deadlines are moved.
func reads(seed uint64, lazy bool) (all []end) {
	r := rand.New(rand.NewPCG(seed, 1))
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	c := near
	if lazy {
		c = &lazyDeadline{Conn: near, opened: time.Now()}
	}
	move := func() {
		at := time.Now().Add(time.Duration(r.IntN(7)-2) * time.Second)
		if r.IntN(4) == 0 {
			at = time.Time{}
		}
		c.SetReadDeadline(at)
	}
	for range 6 {
		for range r.IntN(4) {
			move()
		}
		began, done := time.Now(), make(chan end, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- end{errors.Is(err, os.ErrDeadlineExceeded), time.Since(began)}
		}()
		synctest.Wait() // else it is chance which of them it begins under
		for range r.IntN(3) {
			<-time.After(time.Duration(r.IntN(2000)) * time.Millisecond) // of the bubble
			move()
		}
		<-time.After(10 * time.Second)
		c.SetReadDeadline(time.Now()) // whatever it was, this one ends
		all = append(all, <-done)
	}
	return all
}

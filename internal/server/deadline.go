package server

import (
	"net"
	"sync"
	"time"
)

// lazyDeadline is a connection whose read deadline is set where it begins to
// count. net/http moves it six times for a request, and each time costs as much
// as finding the session; but between two reads only the last one matters. So a
// read runs under the newest deadline always, and one that is moved while nobody
// reads is kept until somebody does.
type lazyDeadline struct {
	net.Conn

	mu      sync.Mutex // guards what follows
	reading int        // reads under way
	want    time.Time  // as asked for
	set     time.Time  // as the connection has it
}

// Read reads, under the deadline that was asked for last.
func (l *lazyDeadline) Read(b []byte) (int, error) {
	if err := l.begin(); err != nil {
		return 0, err
	}
	defer l.end()
	return l.Conn.Read(b)
}

func (l *lazyDeadline) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.apply(); err != nil {
		return err
	}
	l.reading++
	return nil
}

func (l *lazyDeadline) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading--
}

// apply is called with mu held.
func (l *lazyDeadline) apply() error {
	if l.want.Equal(l.set) {
		return nil
	}
	if err := l.Conn.SetReadDeadline(l.want); err != nil {
		return err
	}
	l.set = l.want
	return nil
}

// SetReadDeadline sets the deadline of reads, of those under way too.
func (l *lazyDeadline) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = t
	if l.reading == 0 {
		return nil
	}
	return l.apply()
}

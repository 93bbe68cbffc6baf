package event

// MaxWatched is the maximum number of watched collectors.
const MaxWatched = maxWatched

// Watched returns the number of watched collectors.
func (l *Log) Watched() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.watched)
}

// Known returns the number of scans of the whole log for the latest page, and the number of the
// last event that the cached page includes.
func (c *Collector) Known() (scans int, upTo uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last.scans, c.last.upTo
}

// MaxStored is the maximum size of a stored event.
const MaxStored = maxEvent

// maxEvent is the maximum size of an event's record, which follows from the limits of its parts: JSON may need two
// bytes for one.
const maxEvent = 96 << 10

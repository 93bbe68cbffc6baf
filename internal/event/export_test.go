package event

// MaxWatched is the bound of collectors that are told apart.
const MaxWatched = maxWatched

// Watched is how many collectors are told apart when an event comes.
func (l *Log) Watched() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.watched)
}

// Known is how often the whole log was looked at for the latest page, and up to
// which event the page is known.
func (c *Collector) Known() (scans int, upTo uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.scans, c.known.upTo
}

// MaxStored bounds one event.
const MaxStored = maxEvent

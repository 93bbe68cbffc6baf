package event

// maxWatched is how many collectors are told apart when an event comes. Those
// beyond it are woken by every event.
const maxWatched = 4096

// watch returns a channel that is closed at the next event that the collector
// selects.
func (l *Log) watch(c *Collector) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch := l.watched[c]; ch != nil {
		return ch
	}
	if c.closed || len(l.watched) >= maxWatched {
		return l.next()
	}
	if l.watched == nil {
		l.watched = map[*Collector]chan struct{}{}
	}
	ch := make(chan struct{})
	l.watched[c] = ch
	return ch
}

// unwatch wakes who waits for the collector's events, for the last time.
func (l *Log) unwatch(c *Collector) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.closed = true
	l.wakeOne(c)
}

// wakeCollector wakes who waits for the collector's events.
func (l *Log) wakeCollector(c *Collector) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeOne(c)
}

// wakeOne is wakeCollector for callers that hold mu.
func (l *Log) wakeOne(c *Collector) {
	if ch := l.watched[c]; ch != nil {
		close(ch)
		delete(l.watched, c)
	}
}

// wakeCollectors wakes who waits for the collectors that select the event; nil:
// for any. Callers hold mu.
func (l *Log) wakeCollectors(e *entry) {
	for c := range l.watched {
		if m := (matcher{criteria: c.wants}); e == nil || m.matches(e) {
			l.wakeOne(c)
		}
	}
}

package event

// maxWatched is the maximum number of collectors whose filters are checked for each new event.
// Further collectors are woken by every event.
const maxWatched = 4096

// watch returns a channel that is closed at the next event that the collector selects.
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

// unwatch wakes the calls that wait for the collector's events and stops watching the collector.
func (l *Log) unwatch(c *Collector) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.closed = true
	l.wakeOne(c)
}

// wakeCollector wakes the calls that wait for the collector's events.
func (l *Log) wakeCollector(c *Collector) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeOne(c)
}

// wakeOne does the work of wakeCollector. The caller holds mu.
func (l *Log) wakeOne(c *Collector) {
	if ch := l.watched[c]; ch != nil {
		close(ch)
		delete(l.watched, c)
	}
}

// wakeCollectors wakes the calls that wait for collectors that select the event. If e is nil, it
// wakes all. The caller holds mu.
func (l *Log) wakeCollectors(e *entry) {
	for c := range l.watched {
		if m := (matcher{criteria: c.wants}); e == nil || m.matches(e) {
			l.wakeOne(c)
		}
	}
}

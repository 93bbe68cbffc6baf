package account

import "time"

const (
	// pressureEvery is the interval of the measurements. It is longer than a hash takes, because
	// otherwise the pauses between hashes would hide the requests that hashing delays. A
	// measurement older than pressureStale is ignored.
	pressureEvery = 100 * time.Millisecond
	pressureStale = 2 * time.Second
	// Hashing is not limited for up to quietRate other requests per second, nor for the requests
	// that accompany a login: one before it, one or two calls, and the logout. They are served
	// quickly enough beside hashing, and a limit would double the waiting time of logins.
	quietRate = 20
	perLogin  = 4
)

// pressure determines from the number of requests whether there is much work other than hashing.
type pressure struct {
	requests func() uint64 // all requests since the start, including those that hash; nil: unknown
	now      func() time.Time

	looked time.Time
	last   counts // at the last measurement
	was    bool
}

// counts are numbers of requests since the start.
type counts struct{ all, hashing, refused uint64 }

// high reports whether there is much other work. Its arguments are the numbers of hashes that were
// requested and refused since the start.
func (p *pressure) high(hashing, refused uint64) bool {
	if p.requests == nil {
		return false
	}
	now := p.now()
	d := now.Sub(p.looked)
	if d < pressureEvery {
		return p.was
	}
	c := counts{p.requests(), hashing, refused}
	// Floats, because the difference may be negative: a request is counted before its hash is
	// requested.
	others := float64(c.all-p.last.all) - float64(c.hashing-p.last.hashing)
	logins := float64(c.hashing-p.last.hashing) - float64(c.refused-p.last.refused)
	p.was = d < pressureStale && others > quietRate*d.Seconds()+perLogin*logins
	p.looked, p.last = now, c
	return p.was
}

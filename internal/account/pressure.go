package account

import "time"

const (
	// pressureEvery is how often the other work is looked at: longer than a
	// hash, or its turns would hide what it keeps from running. A look that is
	// older than pressureStale tells nothing.
	pressureEvery = 100 * time.Millisecond
	pressureStale = 2 * time.Second
	// Up to quietRate other requests a second, and those that come with a
	// login (a look at the server before it, a call or two, the logout), are
	// no reason to hash less: they are served soon enough beside it, and those
	// who wait to log in would wait twice as long.
	quietRate = 20
	perLogin  = 4
)

// pressure tells whether there is much other work than hashing, by the requests
// that come in.
type pressure struct {
	requests func() uint64 // all since the start, those that hash among them; nil: not known
	now      func() time.Time

	looked time.Time
	last   counts // when it looked
	was    bool
}

// counts are of requests since the start.
type counts struct{ all, hashing, refused uint64 }

// high is asked with the hashes asked for and refused since the start.
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
	// As floats, since a request is counted before its hash is asked for.
	others := float64(c.all-p.last.all) - float64(c.hashing-p.last.hashing)
	logins := float64(c.hashing-p.last.hashing) - float64(c.refused-p.last.refused)
	p.was = d < pressureStale && others > quietRate*d.Seconds()+perLogin*logins
	p.looked, p.last = now, c
	return p.was
}

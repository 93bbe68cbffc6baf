// Package password remembers which passwords of vigate's accounts an upstream has refused, so that a wrong
// password in a file does not lock the account out there.
//
// [Refusals] says when a password that was refused may be tried again. It keeps no password, only digests with a
// key of this process. The package makes no login, and reads no files: see package secretfile.
package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/secret"
)

// Digest stands for a password of a user. It is made with a key of this process, so that nobody can guess
// passwords with it elsewhere.
type Digest [sha256.Size]byte

const (
	// Tries is how often one wrong password is tried before the first pause: once, and once more because a
	// directory behind the upstream may have been slow to learn of a new one.
	Tries      = 2
	firstPause = 5 * time.Minute
	lastPause  = time.Hour
	maxKept    = 10_000 // passwords that are remembered
)

// Refusals are the passwords that an upstream has refused. They are safe for concurrent use.
type Refusals struct {
	key []byte
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[Digest]refusal
}

// refusal counts how often the upstream has refused one password.
type refusal struct {
	times int
	until time.Time // it is not tried before
}

// NewRefusals returns Refusals that know none.
func NewRefusals(now func() time.Time) (*Refusals, error) {
	r := &Refusals{key: make([]byte, sha256.Size), now: now, all: map[Digest]refusal{}}
	if _, err := rand.Read(r.key); err != nil {
		return nil, fmt.Errorf("make key of digests: %w", err)
	}
	return r, nil
}

// Digest returns the digest of a password of a user.
func (r *Refusals) Digest(user string, password secret.Text) Digest {
	mac := hmac.New(sha256.New, r.key)
	_, _ = io.WriteString(mac, strings.ToLower(user)+"\x00"+password.Reveal())
	return Digest(mac.Sum(nil))
}

// Until returns the time before which the password must not be tried; zero if it may be tried now.
func (r *Refusals) Until(d Digest) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until := r.all[d].until; r.now().Before(until) {
		return until
	}
	return time.Time{}
}

// Refused notes that the upstream has refused the password.
func (r *Refusals) Refused(d Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if _, ok := r.all[d]; !ok && len(r.all) >= maxKept {
		r.makeRoom(now)
	}
	one := r.all[d]
	one.times++
	if one.times >= Tries {
		one.until = now.Add(min(firstPause<<min(one.times-Tries, 10), lastPause))
	}
	r.all[d] = one
}

// makeRoom forgets refusals. The bound on all failed logins of a user holds even if one that still counts
// is forgotten. The caller holds mu.
func (r *Refusals) makeRoom(now time.Time) {
	for d, one := range r.all {
		if now.After(one.until) {
			delete(r.all, d)
		}
	}
	for d := range r.all {
		if len(r.all) < maxKept {
			return
		}
		delete(r.all, d)
	}
}

// Accepted notes that the upstream has accepted the password.
func (r *Refusals) Accepted(d Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, d)
}

package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vigate/vigate/internal/login"
)

const (
	maxKeys = 100 // keys of one issuer
	maxSame = 4   // keys of one issuer with the same id, which are all tried
	// freshTime is how long keys are used without a look at the issuer's. A key that the issuer takes
	// away is accepted for that long.
	freshTime = 10 * time.Minute
	// staleTime is how long keys are used while the issuer's can't be read.
	staleTime = 6 * time.Hour
	// fetchPeriod is the time between two requests for keys, whatever their outcome.
	fetchPeriod = time.Minute
)

// key is a public key of an issuer.
type key struct {
	id        string
	algorithm jose.SignatureAlgorithm // the only one that the key is for; empty: any that fits
	public    crypto.PublicKey
}

// keySet is the keys of one issuer. It reads them when they are needed, at most once in fetchPeriod.
type keySet struct {
	fetch  func(context.Context) ([]key, error)
	now    func() time.Time
	logger *slog.Logger

	mu     sync.Mutex    // guards the fields below
	keys   []key         // as they were read last
	read   time.Time     // when that was; zero: never
	tried  time.Time     // when the latest request began; zero: never
	failed error         // of the latest request
	flight chan struct{} // closed when the request in progress has ended; nil: none is in progress
}

// find returns the keys that a token of the algorithm and the key id can be signed with. A token without
// a key id is rejected if the issuer has several keys for the algorithm.
//
// Errors: login.ErrRejected if the issuer has no such key. login.ErrUnconfirmed, with login.ErrBusy, if it had
// none when its keys were read last, and they can't be read again now: the key may be a new one, but anybody
// can invent one, so it counts as a failed login. Any other error means that the keys of the issuer are not
// known. The caller's client must not be locked out for that.
func (s *keySet) find(ctx context.Context, algorithm jose.SignatureAlgorithm, id string) ([]crypto.PublicKey, error) {
	found, flight := s.look(algorithm, id)
	if flight == nil && len(found) > 0 {
		return only(found, id)
	}
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the keys of the issuer: %w", ctx.Err())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch found := s.match(algorithm, id); {
	case len(found) > 0:
		return only(found, id)
	case s.failed != nil && s.known():
		return nil, fmt.Errorf("verify token: the key is not known, and the keys of the issuer can't be read: %w: %w",
			login.ErrUnconfirmed, login.ErrBusy)
	case s.failed != nil:
		return nil, fmt.Errorf("verify token: the keys of the issuer can't be read: %w", s.failed)
	case flight == nil:
		return nil, fmt.Errorf("verify token: the key is not known, and the issuer was asked a moment ago: %w: %w",
			login.ErrUnconfirmed, login.ErrBusy)
	}
	return nil, rejected(errors.New("the issuer has no such key"))
}

// look returns the keys that fit, and the request for keys that the caller has to wait for, if any. A
// caller whose key is known waits only for a request that it has begun itself.
func (s *keySet) look(algorithm jose.SignatureAlgorithm, id string) (found []crypto.PublicKey, flight chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = s.match(algorithm, id)
	if len(found) > 0 && s.age() < freshTime {
		return found, nil
	}
	if began := s.begin(); began || len(found) == 0 {
		flight = s.flight
	}
	return found, flight
}

// only returns the keys if the token certainly refers to them.
func only(found []crypto.PublicKey, id string) ([]crypto.PublicKey, error) {
	if id == "" && len(found) > 1 {
		return nil, rejected(errors.New("it does not say which of the issuer's keys has signed it"))
	}
	return found, nil
}

// age is how long ago the keys were read. A clock that was set back makes them old. The caller holds mu.
func (s *keySet) age() time.Duration {
	if age := s.now().Sub(s.read); age >= 0 {
		return age
	}
	return freshTime
}

// known reports whether there are keys that are not too old. The caller holds mu.
func (s *keySet) known() bool { return !s.read.IsZero() && s.age() < staleTime }

// match returns the keys that fit, if they are not too old. The caller holds mu.
func (s *keySet) match(algorithm jose.SignatureAlgorithm, id string) []crypto.PublicKey {
	if !s.known() {
		return nil
	}
	var found []crypto.PublicKey
	for _, k := range s.keys {
		if (id == "" || k.id == id) && (k.algorithm == "" || k.algorithm == algorithm) &&
			fits[algorithm].key(k.public) {
			if found = append(found, k.public); len(found) == maxSame {
				break
			}
		}
	}
	return found
}

// begin starts a request for keys if none is in progress and the latest was long enough ago. It reports
// whether it did. The caller holds mu.
func (s *keySet) begin() bool {
	now := s.now()
	since := now.Sub(s.tried)
	if s.flight != nil || !s.tried.IsZero() && since >= 0 && since < fetchPeriod {
		return false
	}
	flight := make(chan struct{})
	s.flight, s.tried = flight, now
	go func() {
		defer close(flight)
		// The request belongs to all that wait for it: it does not end with the caller that began it.
		keys, err := s.safeFetch()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flight, s.failed = nil, err
		if err != nil {
			s.logger.Warn("the keys of an issuer of tokens can't be read", "err", err)
			return
		}
		s.keys, s.read = keys, now
	}()
	return true
}

// safeFetch reads the keys. What the issuer's server sends can't end this process.
func (s *keySet) safeFetch() (keys []key, err error) {
	defer func() {
		if p := recover(); p != nil {
			keys, err = nil, fmt.Errorf("read keys: panic: %v", p)
		}
	}()
	return s.fetch(context.Background())
}

// fit is which keys an algorithm is used with.
type fit struct {
	rsa     bool
	curve   elliptic.Curve
	edwards bool
}

// fits has the algorithms that are supported.
var fits = map[jose.SignatureAlgorithm]fit{
	jose.RS256: {rsa: true}, jose.RS384: {rsa: true}, jose.RS512: {rsa: true},
	jose.PS256: {rsa: true}, jose.PS384: {rsa: true}, jose.PS512: {rsa: true},
	jose.ES256: {curve: elliptic.P256()}, jose.ES384: {curve: elliptic.P384()}, jose.ES512: {curve: elliptic.P521()},
	jose.EdDSA: {edwards: true},
}

func (f fit) known() bool { return f != fit{} }

// key reports whether the key is of the algorithm's type and curve, and strong enough.
func (f fit) key(public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return f.rsa && k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 && k.E >= 3 && k.E%2 == 1
	case *ecdsa.PublicKey:
		return f.curve != nil && k.Curve == f.curve
	case ed25519.PublicKey:
		return f.edwards && len(k) == ed25519.PublicKeySize
	}
	return false
}

// readKeys reads the keys of a JSON Web Key Set. It leaves out keys of other types and uses, secret and
// private keys, and what it can't read. A set without keys is one: the issuer has withdrawn all.
func readKeys(b []byte) ([]key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil || set.Keys == nil {
		return nil, errors.New("the answer is not a set of keys")
	}
	if len(*set.Keys) > maxKeys {
		return nil, fmt.Errorf("the answer has more than %d keys", maxKeys)
	}
	var all []key
	for _, raw := range *set.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		all = append(all, key{k.KeyID, jose.SignatureAlgorithm(k.Algorithm), k.Key})
	}
	return all, nil
}

package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vigate/vigate/internal/login"
)

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// isInternal reports whether an error tells nothing about the token, so that nobody is locked out for it.
func isInternal(err error) bool {
	return err != nil && !errors.Is(err, login.ErrRejected) && !errors.Is(err, login.ErrNotMine) &&
		!errors.Is(err, login.ErrUnconfirmed) && !errors.Is(err, login.ErrBusy)
}

func TestForgedTokensMakeOneRequestInAMinute(t *testing.T) {
	for name, discover := range map[string]bool{"address given": false, "address discovered": true} {
		p := newProvider(t)
		m := p.method(func(i *Issuer) {
			if discover {
				i.JWKSURL = ""
			}
		})
		if _, err := try(t, m, p.token(nil)); err != nil {
			t.Fatal(err)
		}
		for minute := range 3 {
			p.clock.Advance(time.Minute)
			before := p.requests.Load()
			good := p.token(nil)
			var wg sync.WaitGroup
			for i := range 50 {
				forged := p.sign("RS256", "rsa", map[string]any{"kid": fmt.Sprint("key-", minute, i)}, p.claims(nil))
				wg.Go(func() {
					_, err := try(t, m, forged)
					if !errors.Is(err, login.ErrRejected) && !errors.Is(err, login.ErrBusy) {
						t.Errorf("%s: %v", name, err)
					}
					if _, err := try(t, m, good); err != nil {
						t.Errorf("%s: a good token beside it: %v", name, err)
					}
				})
			}
			wg.Wait()
			if n := p.requests.Load() - before; n != 1 {
				t.Errorf("%s: %d requests", name, n)
			}
		}
	}
}

func TestANewKeyIsFoundAndAnOldOneForgotten(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	old := p.token(nil)
	if _, err := try(t, m, old); err != nil {
		t.Fatal(err)
	}
	p.rotate(map[string]crypto.Signer{"ec": anyKey()["ec"], "second": anyKey()["rsa"]})
	second := p.sign("RS256", "rsa", map[string]any{"kid": "second"}, p.claims(nil))
	if _, err := try(t, m, second); !errors.Is(err, login.ErrBusy) || !errors.Is(err, login.ErrUnconfirmed) {
		t.Errorf("within a minute of the latest request: %v", err)
	}
	if _, err := try(t, m, old); err != nil {
		t.Errorf("the keys are fresh: %v", err)
	}
	p.clock.Advance(fetchPeriod)
	if _, err := try(t, m, second); err != nil {
		t.Error(err)
	}
	if _, err := try(t, m, old); !errors.Is(err, login.ErrBusy) {
		t.Errorf("the old key: %v", err)
	}
	p.rotate(nil)
	p.clock.Advance(freshTime)
	if _, err := try(t, m, second); !errors.Is(err, login.ErrRejected) {
		t.Errorf("the issuer has withdrawn all keys: %v", err)
	}
}

func TestWhileTheIssuerIsDownItsKeysAreUsedForABoundedTime(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	day := map[string]any{"exp": p.clock.Now().Add(24 * time.Hour).Unix()}
	long, unknown := p.token(day), p.sign("RS256", "rsa", map[string]any{"kid": "unknown"}, p.claims(day))
	p.fail(down)
	if _, err := try(t, m, long); !isInternal(err) {
		t.Errorf("no keys yet: %v", err)
	}
	p.fail(nil)
	if _, err := try(t, m, long); !isInternal(err) {
		t.Errorf("within a minute: %v", err)
	}
	p.clock.Advance(fetchPeriod)
	if _, err := try(t, m, long); err != nil {
		t.Fatal(err)
	}
	p.fail(down)
	for age := freshTime; age < staleTime; age += time.Hour {
		p.clock.Advance(min(age, time.Hour))
		if _, err := try(t, m, long); err != nil {
			t.Errorf("down for %s: %v", age, err)
		}
		if _, err := try(t, m, unknown); !errors.Is(err, login.ErrUnconfirmed) || !errors.Is(err, login.ErrBusy) {
			t.Errorf("a key that may be new, or invented: %v", err)
		}
	}
	p.clock.Advance(time.Hour)
	if _, err := try(t, m, long); !isInternal(err) {
		t.Errorf("the keys are too old: %v", err)
	}
	p.fail(nil)
	p.clock.Advance(fetchPeriod)
	if _, err := try(t, m, long); err != nil {
		t.Errorf("up again: %v", err)
	}
}

func TestACallerDoesNotWaitLongerThanItWants(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.fail(func(w http.ResponseWriter) {
		once.Do(func() { close(asked) })
		<-release
		down(w)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := m.Authenticate(ctx, attempt(p.token(nil)))
		ended <- err
	}()
	<-asked
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
}

func TestAKeyThatIsKnownIsUsedWhileAnotherCallerReadsTheKeysAnew(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	if _, err := try(t, m, p.token(nil)); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	p.fail(func(w http.ResponseWriter) { close(asked); <-release; down(w) })
	p.clock.Advance(freshTime)
	token, ended := p.token(nil), make(chan error, 1)
	go func() {
		_, err := try(t, m, token)
		ended <- err
	}()
	<-asked
	if _, err := try(t, m, token); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestATokenWithoutAKeyIdNeedsAnIssuerWithOneKey(t *testing.T) {
	p := newProvider(t)
	p.rotate(map[string]crypto.Signer{"rsa": anyKey()["rsa"], "other": newKey(t), "ec": anyKey()["ec"]})
	m := p.method()
	for id, want := range map[string]error{"ec": nil, "rsa": login.ErrRejected} {
		algorithm := map[string]jose.SignatureAlgorithm{"ec": "ES256", "rsa": "RS256"}[id]
		token := signWith(t, anyKey()[id], algorithm, "", nil, p.claims(nil))
		if _, err := try(t, m, token); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestKeysThatAreTooWeakOrForOtherUsesAreNotUsed(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{KeyID: "small", Key: small.Public()}, {KeyID: "wide", Key: wide.Public()},
		{KeyID: "encrypts", Use: "enc", Key: anyKey()["rsa"].Public()},
		{KeyID: "secret", Key: []byte("a secret that both sides know, 32 bytes")},
		{KeyID: "private", Key: anyKey()["rsa"]},
		{KeyID: "other", Algorithm: "RS512", Key: anyKey()["rsa"].Public()},
		{KeyID: "good", Algorithm: "RS256", Key: anyKey()["rsa"].Public()},
	}}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	const odd = `{"kty":"new","kid":"good"},{"kty":"RSA","n":"AQ"},1,null,`
	b = []byte(strings.Replace(string(b), `"keys":[`, `"keys":[`+odd, 1))
	keys, err := readKeys(b)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := &keySet{keys: keys, read: now, tried: now, now: func() time.Time { return now }}
	for id, algorithm := range map[string]jose.SignatureAlgorithm{
		"small": "RS256", "wide": "ES256", "encrypts": "RS256", "secret": "HS256", "private": "RS256", "other": "RS256",
	} {
		if _, err := s.find(t.Context(), algorithm, id); err == nil {
			t.Errorf("the key %s is used", id)
		}
	}
	for id, algorithm := range map[string]jose.SignatureAlgorithm{"good": "RS256", "wide": "ES384", "other": "RS512"} {
		if found, err := s.find(t.Context(), algorithm, id); err != nil || len(found) != 1 {
			t.Errorf("the key %s: %v", id, err)
		}
	}
}

func TestAnswersOfAHostileServerAreErrors(t *testing.T) {
	p := newProvider(t)
	other := newProvider(t)
	for name, answer := range map[string]func(http.ResponseWriter){
		"huge": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"keys":["`))
			for line := strings.Repeat("x", 1<<16); ; {
				if _, err := w.Write([]byte(line)); err != nil {
					return
				}
			}
		},
		"a redirection": func(w http.ResponseWriter) {
			w.Header().Set("Location", other.server.URL+"/keys")
			w.WriteHeader(http.StatusFound)
		},
		"a long header": func(w http.ResponseWriter) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"down":          down,
		"no JSON":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"no keys":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("{}")) },
		"many keys": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`))
		},
		"nested": func(w http.ResponseWriter) { _, _ = w.Write([]byte(strings.Repeat(`{"keys":[`, 20_000))) },
	} {
		p.fail(answer)
		for _, s := range []*source{
			{issuer: p.server.URL, url: p.server.URL + "/keys", ca: p.ca, now: p.clock.Now, time: time.Minute},
			{issuer: p.server.URL, ca: p.ca, now: p.clock.Now, time: time.Minute},
		} {
			if keys, err := s.fetch(t.Context()); err == nil {
				t.Errorf("%s: %d keys", name, len(keys))
			}
		}
	}
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d requests to where the server redirects", n)
	}
}

func TestAServerThatDoesNotAnswerIsAnError(t *testing.T) {
	p := newProvider(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, answer := range map[string]func(http.ResponseWriter){
		"silent": func(http.ResponseWriter) { <-release },
		"slow": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"keys":[`))
			_ = http.NewResponseController(w).Flush()
			<-release
		},
	} {
		p.fail(answer)
		s := &source{issuer: p.server.URL, url: p.server.URL + "/keys", ca: p.ca, now: p.clock.Now,
			time: 100 * time.Millisecond}
		if _, err := s.fetch(t.Context()); err == nil {
			t.Error(name)
		}
	}
}

func TestADescriptionMustBeTheIssuersOwn(t *testing.T) {
	p := newProvider(t)
	for name, d := range map[string]map[string]string{
		"of another":         {"issuer": "https://other.example", "jwks_uri": p.server.URL + "/keys"},
		"of nobody":          {"jwks_uri": p.server.URL + "/keys"},
		"keys without TLS":   {"issuer": p.server.URL, "jwks_uri": "http://127.0.0.1/keys"},
		"keys in a file":     {"issuer": p.server.URL, "jwks_uri": "file:///etc/passwd"},
		"without an address": {"issuer": p.server.URL},
	} {
		p.fail(func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(d) })
		s := &source{issuer: p.server.URL, ca: p.ca, now: p.clock.Now, time: time.Minute}
		if _, err := s.fetch(t.Context()); err == nil {
			t.Error(name)
		}
	}
	p.fail(nil)
	s := &source{issuer: p.server.URL, now: p.clock.Now, time: time.Minute} // with the authorities of the system
	if _, err := s.fetch(t.Context()); err == nil {
		t.Error("a server that no authority of the system has certified is believed")
	}
}

func TestAPanicInAnAnswerIsAnError(t *testing.T) {
	now := time.Now()
	s := &keySet{fetch: func(context.Context) ([]key, error) { panic("x") }, now: func() time.Time { return now },
		logger: slog.New(slog.DiscardHandler)}
	if _, err := s.find(t.Context(), "RS256", "a"); !isInternal(err) {
		t.Error(err)
	}
}

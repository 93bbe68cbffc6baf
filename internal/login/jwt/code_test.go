package jwt

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
)

func TestABrowserIsSentToTheIssuer(t *testing.T) {
	p := newProvider(t)
	text, err := NewClient(p.issuer(), secret.Text{}).Address(t.Context(), "https://v.example/cb", "S", "N", "C")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, p.server.URL+"/authorize?") {
		t.Fatalf("%s: %v", text, err)
	}
	for name, want := range map[string]string{
		"tenant": "a", "response_type": "code", "client_id": "vigate", "redirect_uri": "https://v.example/cb",
		"state": "S", "nonce": "N", "code_challenge": "C", "code_challenge_method": "S256",
		"scope": "openid profile email",
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestACodeIsExchangedForTheTokenOfTheSameLogin(t *testing.T) {
	for name, c := range map[string]struct {
		secret, nonce, answer string
		status                int
		bad                   bool
	}{
		"public client":          {nonce: "N", status: http.StatusOK},
		"client with a secret":   {secret: "s:e c", nonce: "N", status: http.StatusOK},
		"token of another login": {nonce: "other", status: http.StatusOK, bad: true},
		"token without a nonce":  {status: http.StatusOK, bad: true},
		"refusal": {
			nonce: "N", answer: `{"error": "invalid_grant"}`, status: http.StatusBadRequest, bad: true,
		},
		"no token":        {nonce: "N", answer: `{"access_token": "x"}`, status: http.StatusOK, bad: true},
		"no JSON":         {nonce: "N", answer: "<html>", status: http.StatusOK, bad: true},
		"no token at all": {nonce: "N", answer: `{"id_token": "a.b"}`, status: http.StatusOK, bad: true},
	} {
		p := newProvider(t)
		var changes map[string]any
		if c.nonce != "" {
			changes = map[string]any{"nonce": c.nonce}
		}
		token := p.token(changes)
		p.exchange = func(w http.ResponseWriter, r *http.Request) {
			user, password, basic := r.BasicAuth()
			want := url.QueryEscape(c.secret)
			switch {
			case r.Method != http.MethodPost, r.FormValue("grant_type") != "authorization_code",
				r.FormValue("code") != "K", r.FormValue("redirect_uri") != "https://v.example/cb",
				r.FormValue("code_verifier") != "V",
				basic != (c.secret != ""), basic && (user != "vigate" || password != want),
				!basic && r.FormValue("client_id") != "vigate":
				t.Errorf("%s: the issuer got %v", name, r.Form)
			}
			w.WriteHeader(c.status)
			if c.answer != "" {
				_, _ = io.WriteString(w, c.answer)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"id_token": token})
		}
		var s secret.Text
		if c.secret != "" {
			s = secret.New(c.secret)
		}
		got, err := NewClient(p.issuer(), s).Token(t.Context(), "https://v.example/cb", "N", "K", "V")
		if c.bad {
			if !errors.Is(err, ErrCode) || !got.IsZero() {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if who, err := try(t, p.method(), got.Reveal()); err != nil || !strings.Contains(who, "ann") {
			t.Errorf("%s: the token logs in %q: %v", name, who, err)
		}
	}
}

func TestAnIssuerThatIsDownOrAnotherLogsNobodyIn(t *testing.T) {
	p := newProvider(t)
	other := p.issuer()
	other.URL += "/other"
	for name, i := range map[string]Issuer{"down": p.issuer(), "another": other} {
		p.fail(nil)
		if name == "down" {
			p.fail(down)
		}
		c := NewClient(i, secret.Text{})
		_, err := c.Address(t.Context(), "https://v.example/cb", "S", "N", "C")
		_, err2 := c.Token(t.Context(), "https://v.example/cb", "N", "K", "V")
		if err == nil || err2 == nil {
			t.Errorf("%s: %v, %v", name, err, err2)
		}
	}
}

func TestStrangersCauseFewRequestsToTheIssuer(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	arrived, free := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	p.exchange = func(w http.ResponseWriter, r *http.Request) {
		select {
		case arrived <- struct{}{}:
		case <-t.Context().Done():
		}
		<-free
		w.WriteHeader(http.StatusBadRequest)
	}
	c := NewClient(p.issuer(), secret.Text{})
	ctx := peer.With(t.Context(), &peer.Peer{Address: "192.0.2.1"})
	for range 50 {
		if _, err := c.Address(ctx, "https://v.example/cb", "S", "N", "C"); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.requests.Load(); n != 1 {
		t.Errorf("the description was read %d times in a minute", n)
	}

	const callers = 3 * maxNetworkCallers
	errs := make(chan error, callers)
	exchange := func(ctx context.Context) {
		_, err := c.Token(ctx, "https://v.example/cb", "N", "K", "V")
		errs <- err
	}
	for range callers {
		go exchange(ctx)
	}
	atOnce, busy := 0, 0
	for busy < callers-maxNetworkCallers && atOnce <= maxNetworkRequests {
		select {
		case <-arrived:
			atOnce++
		case err := <-errs:
			if !errors.Is(err, login.ErrBusy) {
				t.Fatal(err)
			}
			busy++
		}
	}
	if atOnce > maxNetworkRequests {
		t.Errorf("%d requests of one network at once", atOnce)
	}
	// Nobody else waits for that network.
	go exchange(peer.With(t.Context(), &peer.Peer{Address: "192.0.2.2"}))
	for ; atOnce < maxNetworkRequests+1; atOnce++ {
		<-arrived
	}
	release()
	for n := callers + 1 - busy; n > 0; {
		select {
		case <-arrived: // one that has waited
		case err := <-errs:
			if err == nil {
				t.Error("there is a token for a bad code")
			}
			n--
		}
	}
}

package jwt

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

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

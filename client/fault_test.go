package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	govmomifault "github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/types"
)

func TestAFaultIsFoundByItsTypeAndItsSupertypes(t *testing.T) {
	f := newFake()
	f.on("GET SessionManager.message", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(500)
		fmt.Fprint(w, `{"_typeName":"NotAuthenticated","faultstring":"The session is not authenticated.",`+
			`"object":{"_typeName":"ManagedObjectReference","type":"SessionManager","value":"SessionManager"},`+
			`"privilegeId":"System.View"}`)
	})
	c := start(t, f, nil)
	_, err := c.Message(t.Context())
	err = fmt.Errorf("show message: %w", err)

	var exact *types.NotAuthenticated
	var super *types.NoPermission
	var top *types.MethodFault
	var other *types.InvalidLogin
	if !As(err, &exact) || exact.Object == nil || exact.Object.Value != "SessionManager" {
		t.Errorf("NotAuthenticated: %+v", exact)
	}
	if !As(err, &super) || super.PrivilegeId != "System.View" {
		t.Errorf("as NoPermission: %+v", super)
	}
	if !As(err, &top) {
		t.Error("not a MethodFault")
	}
	if As(err, &other) {
		t.Error("found as InvalidLogin, which it is not")
	}
	var base types.BaseNoPermission
	if !errors.As(err, &base) || base.GetNoPermission().PrivilegeId != "System.View" {
		t.Error("the standard errors.As does not take the interface")
	}
	var fe *FaultError
	if !errors.As(err, &fe) || fe.Type != "NotAuthenticated" || fe.Operation != "SessionManager.message" {
		t.Errorf("FaultError: %+v", fe)
	}
	exact = nil
	if _, ok := govmomifault.As(err, &exact); !ok || exact == nil {
		t.Error("govmomi's fault.As does not find it")
	}
	if want := "show message: call SessionManager.message: NotAuthenticated: The session is not " +
		"authenticated."; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}

func TestAFaultOfALaterReleaseKeepsItsNameAndText(t *testing.T) {
	f := newFake()
	f.on("POST SessionManager.Login", func(w http.ResponseWriter, _ *http.Request) {
		fault(w, "FutureFault", "from the future")
	})
	_, err := start(t, f, nil).Login(t.Context(), "u", "p", "")
	fe, ok := errors.AsType[*FaultError](err)
	if !ok || fe.Type != "FutureFault" || fe.Message != "from the future" {
		t.Errorf("got %v", err)
	}
	if _, plain := fe.Fault().(*types.MethodFault); !plain {
		t.Errorf("it is a %T", fe.Fault())
	}
}

func TestA503ToALoginHasTheRetryAfter(t *testing.T) {
	f := newFake()
	f.on("POST SessionManager.Login", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		faultStatus(w, 503, "SystemError", "2,000 of 2,000 sessions of this user")
	})
	_, err := start(t, f, nil).Login(t.Context(), "u", "p", "")
	status, ok := errors.AsType[*HTTPError](err)
	if !ok || status.StatusCode != 503 || status.RetryAfter != 17*time.Second ||
		!strings.Contains(err.Error(), "2,000 of 2,000") {
		t.Errorf("got %#v", err)
	}
	var system *types.SystemError
	if !As(err, &system) {
		t.Error("the fault in the body is lost")
	}
	if n := f.count("POST SessionManager.Login"); n != 1 {
		t.Errorf("the login was sent %d times", n)
	}
}

// A server that is busy says why in a body without a fault, because the API has none for that.
func TestA503SaysWhatIsMissing(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"in JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(503)
			fmt.Fprint(w, `{"faultstring":"The user has reached the limit of sessions: 5 of at most 5 are live."}`)
		},
		"in plain text": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "5 of at most 5 are live\nmore of it", http.StatusServiceUnavailable)
		},
	} {
		f := newFake()
		f.on("POST SessionManager.Login", answer)
		_, err := start(t, f, nil).Login(t.Context(), "u", "p", "")
		if err == nil || !strings.Contains(err.Error(), "5 of at most 5 are live") ||
			strings.Contains(err.Error(), "more of it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALoginOnALiveSessionSaysSo(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	login(t, c)
	f.on("POST SessionManager.Login", func(w http.ResponseWriter, _ *http.Request) {
		fault(w, "InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
	})
	_, err := c.Login(t.Context(), "u", fakePassword, "")
	var refused *types.InvalidLogin
	if !errors.Is(err, ErrLoggedIn) || !As(err, &refused) {
		t.Errorf("on a live session: %v", err)
	}
	f.kill()
	if _, err := c.Login(t.Context(), "u", "wrong", ""); err == nil || errors.Is(err, ErrLoggedIn) {
		t.Errorf("on a session that has ended: %v", err)
	}
	c.SetToken(Token{})
	if _, err := c.Login(t.Context(), "u", "wrong", ""); err == nil || errors.Is(err, ErrLoggedIn) {
		t.Errorf("without a session: %v", err)
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, " 2 ": 2 * time.Second, "-1": 0, "soon": 0, "99999999999999": 0,
		"Thu, 02 Jan 2025 03:05:05 GMT": time.Minute, "Thu, 02 Jan 2025 03:03:05 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestAnErrorDoesNotRepeatTheCallsSecrets(t *testing.T) {
	f := newFake()
	echo := func(w http.ResponseWriter, r *http.Request) {
		var all bytes.Buffer
		_ = r.Header.Write(&all)
		_, _ = all.ReadFrom(r.Body)
		var in map[string]string
		_ = json.Unmarshal(all.Bytes()[bytes.IndexByte(all.Bytes(), '{'):], &in)
		fault(w, "InvalidLogin", fmt.Sprint(all.String(), in))
	}
	for _, op := range []string{"Login", "CloneSession", "LoginBySSPI", "LoginExtension"} {
		f.on("POST SessionManager."+op, echo)
	}
	c := start(t, f, nil)
	const secret, token = "the-secret-of-the-call", "0123456789abcdef0123456789abcdef01234567"
	c.SetToken(NewToken(token))
	_, e1 := c.Login(t.Context(), "u", secret, "")
	_, e2 := c.CloneSession(t.Context(), secret)
	_, e3 := c.LoginBySSPI(t.Context(), secret, "")
	e4 := c.LoginExtension(t.Context(), "k", secret, "")
	for _, err := range []error{e1, e2, e3, e4} {
		text := fmt.Sprintf("%v", err)
		if !strings.Contains(text, "InvalidLogin") || !strings.Contains(text, redacted) {
			t.Errorf("not the fault that was sent: %s", text)
		}
		if strings.Contains(text, secret) || strings.Contains(text, token) || strings.ContainsAny(text, "\r\n") {
			t.Errorf("the error reveals too much: %q", text)
		}
	}
}

func TestATokenIsNeverShown(t *testing.T) {
	const secret = "0123456789abcdef-the-token"
	token := NewToken(secret)
	type holder struct {
		Public Token
		hidden Token
	}
	h := holder{token, token}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("x", "token", token, "holder", h)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token, "holder", h)
	asJSON, err := json.Marshal(map[string]any{"a": token, "b": &token, "c": h})
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		shown += fmt.Sprintf(verb, token) + fmt.Sprintf(verb, &token) + fmt.Sprintf(verb, h) +
			fmt.Sprintf(verb, h.hidden)
	}
	f := newFake()
	c := startInProcess(t, f, nil)
	c.SetToken(token)
	shown += fmt.Sprintf("%v %+v %#v", c.session.token, c.Token(), &c.session.token)
	if strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) {
		t.Errorf("the token is in %s", shown)
	}
	if token.Reveal() != secret || c.Token() != NewToken(secret) || !(Token{}).IsZero() || (Token{}).Reveal() != "" {
		t.Error("the token does not hold its value")
	}
}

func TestAnAutomationAPIErrorGivesItsText(t *testing.T) {
	f := newFake()
	f.on("GET SessionManager.message", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(401)
		fmt.Fprint(w, `{"error_type":"UNAUTHENTICATED","messages":[{"id":"x","default_message":"no session"}]}`)
	})
	_, err := start(t, f, nil).Message(t.Context())
	if want := "call SessionManager.message: HTTP status 401 Unauthorized: no session"; err == nil ||
		err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

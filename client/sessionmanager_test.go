package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

// operationCase is one of the 22 operations: how it is called, the request that the client must
// send, and the result that it must return.
type operationCase struct {
	op   string
	call func(context.Context, *Client) (any, error)
	body string
	want func(any) bool
}

func isSession(v any) bool {
	s, ok := v.(*types.UserSession)
	return ok && s != nil && s.UserName == `VSPHERE.LOCAL\Administrator` && s.CallCount == 3
}

func is(want any) func(any) bool { return func(v any) bool { return reflect.DeepEqual(v, want) } }

func nothing(err error) (any, error) { return nil, err }

func operations() []operationCase {
	sign := SignerFunc(func(r *http.Request) error { r.Header.Set("Authorization", `SIGN token="x"`); return nil })
	return []operationCase{
		{"POST SessionManager.AcquireGenericServiceTicket", func(ctx context.Context, c *Client) (any, error) {
			ticket, err := c.AcquireGenericServiceTicket(ctx,
				&types.SessionManagerHttpServiceRequestSpec{Method: "httpGet", Url: "https://h/x"})
			if err != nil {
				return nil, err
			}
			return ticket.Id, nil
		}, `{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec","method":"httpGet","url":"https://h/x"}}`,
			is("generic-1")},
		{"POST SessionManager.AcquireLocalTicket", func(ctx context.Context, c *Client) (any, error) {
			ticket, err := c.AcquireLocalTicket(ctx, "root")
			if err != nil {
				return nil, err
			}
			return ticket.PasswordFilePath, nil
		}, `{"userName":"root"}`, is("/run/p")},
		{"GET SessionManager.currentSession",
			func(ctx context.Context, c *Client) (any, error) { return c.CurrentSession(ctx) }, "", isSession},
		{"GET SessionManager.defaultLocale",
			func(ctx context.Context, c *Client) (any, error) { return c.DefaultLocale(ctx) }, "", is("en")},
		{"GET SessionManager.message", func(ctx context.Context, c *Client) (any, error) { return c.Message(ctx) }, "",
			is("hello")},
		{"GET SessionManager.messageLocaleList",
			func(ctx context.Context, c *Client) (any, error) { return c.MessageLocaleList(ctx) }, "",
			is([]string{"en", "de"})},
		{"GET SessionManager.supportedLocaleList",
			func(ctx context.Context, c *Client) (any, error) { return c.SupportedLocaleList(ctx) }, "",
			is([]string{"en", "de"})},
		{"GET SessionManager.sessionList", func(ctx context.Context, c *Client) (any, error) {
			list, err := c.SessionList(ctx)
			return len(list), err
		}, "", is(2)},
		{"POST SessionManager.ImpersonateUser", func(ctx context.Context, c *Client) (any, error) {
			return c.ImpersonateUser(ctx, "bob", "de")
		},
			`{"userName":"bob","locale":"de"}`, isSession},
		{"POST SessionManager.SessionIsActive", func(ctx context.Context, c *Client) (any, error) {
			return c.SessionIsActive(ctx, "k", "bob")
		},
			`{"sessionID":"k","userName":"bob"}`, is(true)},
		{"POST SessionManager.SetLocale", func(ctx context.Context, c *Client) (any, error) {
			return nothing(c.SetLocale(ctx, "de"))
		},
			`{"locale":"de"}`, is(nil)},
		{"POST SessionManager.TerminateSession", func(ctx context.Context, c *Client) (any, error) {
			return nothing(c.TerminateSession(ctx, "a", "b"))
		},
			`{"sessionId":["a","b"]}`, is(nil)},
		{"POST SessionManager.TerminateSession", func(ctx context.Context, c *Client) (any, error) {
			return nothing(c.TerminateSession(ctx))
		},
			`{"sessionId":[]}`, is(nil)},
		{"POST SessionManager.UpdateServiceMessage", func(ctx context.Context, c *Client) (any, error) {
			return nothing(c.UpdateServiceMessage(ctx, "<a&b>"))
		},
			`{"message":"<a&b>"}`, is(nil)},
		{"POST SessionManager.Logout",
			func(ctx context.Context, c *Client) (any, error) { return nothing(c.Logout(ctx)) }, "", is(nil)},
		{"POST SessionManager.Login", func(ctx context.Context, c *Client) (any, error) {
			return c.Login(ctx, "u", fakePassword, "")
		},
			`{"userName":"u","password":"` + fakePassword + `"}`, isSession},
		{"POST SessionManager.Logout",
			func(ctx context.Context, c *Client) (any, error) { return nothing(c.Logout(ctx)) }, "", is(nil)},
		{"POST SessionManager.LoginBySSPI", func(ctx context.Context, c *Client) (any, error) {
			return c.LoginBySSPI(ctx, "YII=", "ja")
		},
			`{"base64Token":"YII=","locale":"ja"}`, isSession},
		{"POST SessionManager.Logout",
			func(ctx context.Context, c *Client) (any, error) { return nothing(c.Logout(ctx)) }, "", is(nil)},
		{"POST SessionManager.LoginByToken",
			func(ctx context.Context, c *Client) (any, error) { return c.LoginByToken(ctx, sign, "") }, `{}`,
			isSession},
		{"POST SessionManager.Logout",
			func(ctx context.Context, c *Client) (any, error) { return nothing(c.Logout(ctx)) }, "", is(nil)},
		{"POST SessionManager.LoginExtensionByCertificate", func(ctx context.Context, c *Client) (any, error) {
			return c.LoginExtensionByCertificate(ctx, "ext", "")
		}, `{"extensionKey":"ext"}`, isSession},
		{"POST SessionManager.Logout",
			func(ctx context.Context, c *Client) (any, error) { return nothing(c.Logout(ctx)) }, "", is(nil)},
		{"POST SessionManager.LoginExtensionBySubjectName", func(ctx context.Context, c *Client) (any, error) {
			return c.LoginExtensionBySubjectName(ctx, "ext", "")
		}, `{"extensionKey":"ext"}`, isSession},
	}
}

func TestEachOperationSendsAndReturnsWhatTheAPISays(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	login(t, c)
	for _, tc := range operations() {
		got, err := tc.call(t.Context(), c)
		if err != nil {
			t.Fatalf("%s: %v", tc.op, err)
		}
		if !tc.want(got) {
			t.Errorf("%s returned %+v", tc.op, got)
		}
		req := f.last(t, tc.op)
		if req.body != tc.body {
			t.Errorf("%s sent %s, want %s", tc.op, req.body, tc.body)
		}
		if has := req.header.Get("Content-Type") == "application/json"; has != (tc.body != "") {
			t.Errorf("%s: Content-Type %q with body %q", tc.op, req.header.Get("Content-Type"), req.body)
		}
	}
	if got := f.last(t, "POST SessionManager.LoginByToken").header.Get("Authorization"); got != `SIGN token="x"` {
		t.Errorf("LoginByToken went with Authorization %q", got)
	}
	if got, want := f.last(t, "GET SessionManager.message").url, "/sdk/vim25/8.0.1.0/SessionManager/"+sessionManagerID+
		"/message"; got != want {
		t.Errorf("the session manager was called at %s, want %s", got, want)
	}
	if n := f.count("GET ServiceInstance.content"); n != 1 {
		t.Errorf("the content was read %d times", n)
	}
}

func TestATicketClonesTheSessionOnAnotherClient(t *testing.T) {
	f := newFake()
	one := start(t, f, nil)
	two := start(t, f, nil)
	login(t, one)
	ticket, err := one.AcquireCloneTicket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session, err := two.CloneSession(t.Context(), ticket)
	if err != nil || !isSession(session) {
		t.Fatalf("CloneSession: %+v, %v", session, err)
	}
	if two.Token() == one.Token() || two.Token().IsZero() {
		t.Error("the clone has no token of its own")
	}
	if current, err := two.CurrentSession(t.Context()); err != nil || current == nil {
		t.Errorf("the clone's session: %v, %v", current, err)
	}
}

func TestLoginExtensionReturnsTheServersNotSupported(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	err := c.LoginExtension(t.Context(), "ext", "c2lnbmVk", "")
	var unsupported *types.NotSupported
	if !As(err, &unsupported) {
		t.Errorf("got %v", err)
	}
	want := `{"extensionKey":"ext","base64SignedCredentials":"c2lnbmVk"}`
	if got := f.last(t, "POST SessionManager.LoginExtension").body; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestASignerSeesTheWholeRequest(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	var signed string
	sign := SignerFunc(func(r *http.Request) error {
		body, err := r.GetBody()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		signed = r.Method + " " + r.URL.Scheme + "://" + r.URL.Host + r.URL.Path + " " + string(data)
		return err
	})
	if _, err := c.LoginByToken(t.Context(), sign, "de"); err != nil {
		t.Fatal(err)
	}
	want := "POST " + c.base.String() + "/sdk/vim25/8.0.1.0/SessionManager/" + sessionManagerID +
		`/LoginByToken {"locale":"de"}`
	if signed != want {
		t.Errorf("signed %s, want %s", signed, want)
	}
	refuse := SignerFunc(func(*http.Request) error { return io.ErrNoProgress })
	if _, err := c.LoginByToken(t.Context(), refuse, ""); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a signer that fails: %v", err)
	}
	if _, err := c.LoginByToken(t.Context(), nil, ""); err == nil {
		t.Error("a nil signer was accepted")
	}
	if n := f.count("POST SessionManager.LoginByToken"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAnUnsetSessionIsNilInEveryFormThatServersSend(t *testing.T) {
	forms := map[string]http.HandlerFunc{
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"empty": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(200)
		},
		"null": func(w http.ResponseWriter, _ *http.Request) { reply(w, "null") },
		"chunked and empty": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
		},
	}
	for name, form := range forms {
		f := newFake()
		f.on("GET SessionManager.currentSession", form)
		f.on("POST SessionManager.AcquireCloneTicket", form)
		c := start(t, f, nil)
		if session, err := c.CurrentSession(t.Context()); session != nil || err != nil {
			t.Errorf("%s: %v, %v", name, session, err)
		}
		if _, err := c.AcquireCloneTicket(t.Context()); !errors.Is(err, ErrNoValue) {
			t.Errorf("%s for a promised value: %v", name, err)
		}
	}
}

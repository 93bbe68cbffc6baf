package soap

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// digits is the text of every session's token.
var digits = strings.Repeat("0f", 20)

// tokenOf returns a token with the given text.
func tokenOf(digits string) session.Token { return session.Token{Text: secret.New(digits)} }

func TestTheTokenIsTakenFromItsHeaderTheMessageOrTheCookie(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef01234567"
	named := strings.Replace(envelope(manager("Logout", "")), "<soapenv:Body>",
		"<soapenv:Header><vcSessionCookie>"+token+"</vcSessionCookie></soapenv:Header><soapenv:Body>", 1)
	for name, c := range map[string]struct {
		header  map[string]string
		message string
	}{
		"header": {header: map[string]string{"vmware-api-session-id": token,
			"Cookie": `vmware_soap_session="other"`}},
		"quoted cookie": {header: map[string]string{"Cookie": `vmware_soap_session="` + token + `"`}},
		"bare cookie":   {header: map[string]string{"Cookie": "a=b; vmware_soap_session=" + token + "; c=d"}},
		"echoed cookie": {header: map[string]string{"Cookie": `vmware_soap_session="` + token +
			`"; Path=/; HttpOnly; Secure;`}},
		"message":         {message: named},
		"message, cookie": {message: named, header: map[string]string{"Cookie": "vmware_soap_session=other"}},
		"header, message": {message: strings.Replace(named, token, "other", 1),
			header: map[string]string{"vmware-api-session-id": token}},
		"empty header too": {header: map[string]string{"vmware-api-session-id": "",
			"Cookie": "vmware_soap_session=" + token}},
	} {
		f := newFake()
		if c.message == "" {
			c.message = envelope(manager("Logout", ""))
		}
		w := f.post(c.message, func(r *http.Request) {
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
		})
		if len(f.calls) != 1 || f.calls[0].Token.Reveal() != token {
			t.Errorf("%s: %d %+v", name, w.Code, f.calls)
		}
		if h := w.Header(); h.Get("Set-Cookie") != "" || h.Get("Vmware-Api-Session-Id") != "" ||
			strings.Contains(f.log.String(), token) {
			t.Errorf("%s: the token is repeated: %v %s", name, h, f.log.String())
		}
	}
}

func TestALoginSetsOneCookieAsClientsExpectIt(t *testing.T) {
	for _, tls := range []bool{true, false} {
		f := newFake()
		f.do = func(c *vim.Call) (vim.Result, *vim.Fault) {
			return vim.Result{Value: types.UserSession{}, Token: tokenOf(digits)}, nil
		}
		f.from = peer.Peer{TLS: tls}
		w := f.post(envelope(manager("Login", "<userName>a</userName><password>b</password>")), nil)
		cookies := w.Header()["Set-Cookie"]
		want := "; Path=/; HttpOnly;"
		if tls {
			want += " Secure;"
		}
		if len(cookies) != 1 || !strings.HasPrefix(cookies[0], `vmware_soap_session="`) ||
			!strings.HasSuffix(cookies[0], `"`+want) ||
			!strings.Contains(cookies[0], digits) || strings.Contains(w.Body.String(), digits) {
			t.Errorf("TLS %v: %v", tls, cookies)
		}
	}
}

func TestATicketForOneRequestComesAsACookie(t *testing.T) {
	f := newFake()
	f.post(envelope(manager("Logout", "")), func(r *http.Request) {
		r.Header.Set("Cookie", "vmware_cgi_ticket=t; x=y")
	})
	want := vim.HTTPRequest{Method: "POST", Host: "example.com", Target: "/sdk", Ticket: secret.New("t")}
	if len(f.calls) != 1 || !reflect.DeepEqual(f.calls[0].HTTP, want) || !f.calls[0].Token.IsZero() {
		t.Errorf("%+v", f.calls)
	}
}

func TestAPageOfAnotherOriginCallsNothing(t *testing.T) {
	for _, c := range []struct {
		header  map[string]string
		refused bool
	}{
		{map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		{map[string]string{"Sec-Fetch-Site": "same-site"}, true},
		{map[string]string{"Origin": "https://evil.example"}, true},
		{map[string]string{"Origin": "null"}, true},
		{map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.example"}, false},
		{map[string]string{"Sec-Fetch-Site": "none"}, false},
		{map[string]string{"Origin": "http://example.com"}, false},
		{map[string]string{"Origin": "https://evil.example", "vmware-api-session-id": "t"}, false},
	} {
		f := newFake()
		w := f.post(envelope(manager("Logout", "")), func(r *http.Request) {
			r.Header.Set("Cookie", "vmware_soap_session=t")
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
		})
		if c.refused {
			wantFault(t, w, "ServerFaultCode", "InvalidRequest")
		}
		if refused := len(f.calls) == 0; refused != c.refused {
			t.Errorf("%v: refused %v", c.header, refused)
		}
	}
}

func TestTheClientsNameForTheRequestIsLoggedClean(t *testing.T) {
	f := newFake()
	f.post(strings.Replace(envelope(manager("Logout", "")), "<soapenv:Body>",
		"<soapenv:Header><operationID>ab&#10;level=ERROR\u2028ü"+strings.Repeat("x", 500)+
			"</operationID></soapenv:Header><soapenv:Body>", 1), nil)
	got := f.log.String()
	if !strings.Contains(got, `operationID="ab.level=ERROR..x`) || !strings.Contains(got, "request=r-7") ||
		strings.Contains(got, strings.Repeat("x", maxHeader)) || strings.Count(got, "\n") != 1 {
		t.Errorf("the log is %s", got)
	}
}

// The headers that a call keeps stay in memory as long as the call waits.
func TestLongHeadersAreCut(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	raw := strings.Replace(envelope(manager("Logout", "")), "<soapenv:Body>",
		"<soapenv:Header><operationID>"+long+"</operationID><vcSessionCookie>"+long+
			"</vcSessionCookie></soapenv:Header><soapenv:Body>", 1)
	m := &message{decoder: decoder{codec: newCodec()}, raw: []byte(raw), api: newFake(), call: &vim.Call{}}
	if err := m.read(); err != nil || m.operation != long[:maxHeader] || m.cookie.Reveal() != long[:maxHeader] {
		t.Errorf("%v: %d and %d bytes are kept", err, len(m.operation), len(m.cookie.Reveal()))
	}
	f := newFake()
	if w := f.post(raw, nil); w.Code != 200 || len(f.calls) != 1 || len(f.calls[0].Token.Reveal()) > maxHeader {
		t.Errorf("%d %.300s", w.Code, w.Body)
	}
}

func TestTheSecurityHeaderIsKeptAsItCame(t *testing.T) {
	security := `<wsse:Security  xmlns:wsse="` + nsSecurity + `" soapenv:mustUnderstand='1'><!-- c -->` + "\r\n" +
		`<saml2:Assertion xmlns:saml2="urn:x" ID="_1"><a b = "c"></a>&lt;</saml2:Assertion></wsse:Security >`
	message := func(header string) string {
		return strings.Replace(envelope(manager("LoginByToken", "<locale>en</locale>")), "<soapenv:Body>",
			"<soapenv:Header>\n"+header+"\n</soapenv:Header><soapenv:Body>", 1)
	}
	f := newFake()
	sent := message(security + "<operationID>x</operationID>")
	w := f.post(sent, func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc") })
	if len(f.calls) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	p := f.calls[0].Proof
	if string(p.Security.Reveal()) != security || string(p.Message.Reveal()) != sent ||
		p.Authorization.Reveal() != "Bearer abc" {
		t.Errorf("kept %q", p.Security.Reveal())
	}
	if w := f.post(message(`<wsse:Security xmlns:wsse="`+nsSecurity+`"/>`), nil); w.Code != 200 ||
		string(f.calls[1].Proof.Security.Reveal()) != `<wsse:Security xmlns:wsse="`+nsSecurity+`"/>` {
		t.Errorf("an empty one: %q", f.calls[1].Proof.Security.Reveal())
	}
	for name, header := range map[string]string{
		"two":                     security + security,
		"two, apart":              security + "<x/>" + security,
		"of another namespace":    `<Security xmlns="urn:other"/>`,
		"a second of another":     security + `<Security xmlns="urn:other"/>`,
		"unknown and mandatory":   `<x xmlns="urn:other" soapenv:mustUnderstand="1"/>`,
		"two session cookies":     "<vcSessionCookie>a</vcSessionCookie><vcSessionCookie>b</vcSessionCookie>",
		"a cookie with an object": "<vcSessionCookie><a/></vcSessionCookie>",
	} {
		f := newFake()
		code := "ClientFaultCode"
		if name == "unknown and mandatory" {
			code = "soapenv:MustUnderstand"
		}
		wantFault(t, f.post(message(header), nil), code, "InvalidRequest")
		if len(f.calls) != 0 {
			t.Errorf("%s: called", name)
		}
	}
}

func TestTheLibrarysClientLogsInAndReads(t *testing.T) {
	f := newFake()
	f.do = func(c *vim.Call) (vim.Result, *vim.Fault) {
		switch {
		case c.Name == "Login" && c.Args.(*types.LoginRequestType).Password != "p<&>":
			return vim.Result{}, vim.NewFault(&types.InvalidLogin{}, nil)
		case c.Name == "Login":
			return vim.Result{Value: types.UserSession{Key: "k", UserName: "ü"}, Token: tokenOf(digits)}, nil
		case c.Name == "RetrievePropertiesEx":
			return vim.Result{Value: &types.RetrieveResult{Objects: []types.ObjectContent{{
				Obj:     types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"},
				PropSet: []types.DynamicProperty{{Name: "currentSession", Val: types.UserSession{Key: "k"}}},
			}}}}, nil
		}
		return vim.Result{}, vim.FaultOf(store.ErrUnavailable)
	}
	server := httptest.NewServer(f.mux())
	defer server.Close()
	u, err := url.Parse(server.URL + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	sc := soap.NewClient(u, true)
	sc.Namespace, sc.Version = "urn:vim25", "8.0.3.0"
	client := &vim25.Client{Client: sc, RoundTripper: sc}
	this := types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}
	ctx := context.Background()

	_, err = methods.Login(ctx, client, &types.Login{This: this, UserName: "a", Password: "wrong"})
	if !soap.IsSoapFault(err) {
		t.Fatalf("a wrong password: %v", err)
	}
	if _, ok := soap.ToSoapFault(err).VimFault().(types.InvalidLogin); !ok ||
		!strings.Contains(err.Error(), "Cannot complete login") {
		t.Errorf("a wrong password: %v %T", err, soap.ToSoapFault(err).VimFault())
	}
	got, err := methods.Login(ctx, client, &types.Login{This: this, UserName: "a", Password: "p<&>"})
	if err != nil || got.Returnval.Key != "k" || got.Returnval.UserName != "ü" {
		t.Fatalf("%+v %v", got, err)
	}
	read, err := methods.RetrievePropertiesEx(ctx, client, &types.RetrievePropertiesEx{
		This: types.ManagedObjectReference{Type: "PropertyCollector", Value: "propertyCollector"},
		SpecSet: []types.PropertyFilterSpec{{
			PropSet: []types.PropertySpec{{Type: "SessionManager", All: types.NewBool(false),
				PathSet: []string{"currentSession"}}},
			ObjectSet: []types.ObjectSpec{{Obj: this, SelectSet: []types.BaseSelectionSpec{
				&types.TraversalSpec{SelectionSpec: types.SelectionSpec{Name: "n"}, Type: "Folder", Path: "childEntity",
					SelectSet: []types.BaseSelectionSpec{&types.SelectionSpec{Name: "n"}}},
			}}},
		}},
	})
	if err != nil || read.Returnval.Objects[0].PropSet[0].Val.(types.UserSession).Key != "k" {
		t.Fatalf("%+v %v", read, err)
	}
	if c := f.calls[len(f.calls)-1]; c.Token.Reveal() != digits {
		t.Errorf("the token sent is %q", c.Token.Reveal())
	}
}

// A message with a token that exceeds the limits is a failed login, like one that is read and rejected.
func TestAMessageWithATokenThatCannotBeReadSaysSo(t *testing.T) {
	many := strings.Repeat(` a:x=""`, 100)
	for what, c := range map[string]struct {
		message    string
		unreadable bool
	}{
		"too many namespaces": {securityMessage(`<Assertion xmlns:a="urn:a"` + namespaces(2000) + `/>`), true},
		"too many attributes": {securityMessage(`<Assertion xmlns:a="urn:a"` + many + `/>`), true},
		"cut off":             {strings.Split(securityMessage(`<Assertion/>`), "<Assertion")[0] + "<Assertion", true},
		"beside the token": {strings.Replace(securityMessage(`<Assertion/>`), "<soapenv:Body>",
			"<soapenv:Body "+namespaces(2000)+">", 1), true},
		"well-formed": {securityMessage(`<Assertion/></wsse:Security><wsse:Security>`), false},
		"no token":    {"<Envelope" + namespaces(2000) + "/>", false},
	} {
		f := newFake()
		f.post(c.message, nil)
		if len(f.refused) != 1 || f.unreadable != c.unreadable {
			t.Errorf("%s: %d refused, unreadable: %t", what, len(f.refused), f.unreadable)
		}
	}
}

// namespaces returns the declarations of n namespaces.
func namespaces(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` xmlns:n%04d="urn:n%04d"`, i, i)
	}
	return b.String()
}

// securityMessage returns a login with the content of its Security header.
func securityMessage(content string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="` + nsEnvelope + `">` +
		`<soapenv:Header><wsse:Security xmlns:wsse="` + nsSecurity + `">` + content + `</wsse:Security>` +
		`</soapenv:Header><soapenv:Body><LoginByToken xmlns="urn:vim25">` +
		`<_this type="SessionManager">SessionManager</_this></LoginByToken></soapenv:Body></soapenv:Envelope>`
}

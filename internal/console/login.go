package console

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// loginBody is what the template of the login shows.
type loginBody struct {
	Problem, Notice string
	Name            string // of the user, after a failed attempt
	Next            string // where to go after the login
	Kerberos        bool
	Providers       []providerLink
}

// home shows the caller's own session. It leads on to the first section if the caller may use one.
func (x *Request) home() error {
	for _, s := range x.console.Sections {
		if x.May(s.Needs) {
			return x.Redirect(Root + s.Name)
		}
	}
	return x.Page("home", x.Text("console.session"), x.user)
}

// next returns the path of this console in a parameter, or that of its first page.
func next(given string) string {
	u, err := url.Parse(given)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || strings.ContainsAny(given, "\\\r\n") ||
		!strings.HasPrefix(u.Path, Root) || path.Clean(u.Path)+"/" != strings.TrimSuffix(u.Path, "/")+"/" ||
		strings.HasPrefix(u.Path, Root+"log") {
		return Root
	}
	return u.RequestURI()
}

// toLogin leads a caller without a session to the login, and afterwards back to the page.
func (x *Request) toLogin() {
	q := url.Values{}
	if x.r.Method == http.MethodGet {
		if to := next(x.r.URL.RequestURI()); to != Root {
			q.Set("next", to)
		}
	}
	if !x.call.Token.IsZero() {
		q.Set("ended", "1")
		x.console.setCookie(x.w.Header(), "")
	}
	to := Root + "login"
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	x.redirect(to)
}

// loginPage shows the form.
func (x *Request) loginPage() error {
	if x.user != nil {
		return x.Redirect(next(x.Form.Get("next")))
	}
	b := loginBody{Next: next(x.Form.Get("next"))}
	switch {
	case x.Form.Has("ended"):
		b.Notice = x.Text("console.ended")
	case x.Form.Has("out"):
		b.Notice = x.Text("console.out")
	}
	return x.showLogin(http.StatusOK, b)
}

func (x *Request) showLogin(status int, b loginBody) error {
	b.Kerberos, b.Providers = x.console.Kerberos, x.providers(b.Next)
	x.user = nil
	d := x.data(x.Text("console.login"), b)
	d.Token = formToken(x.keepLoginSecret())
	x.write(x.console.shared, status, "login", d)
	return nil
}

// wanted returns the locale that a session from this browser gets, or "" if the browser does not ask for one.
func (x *Request) wanted() string {
	if x.call.AcceptLanguage == "" {
		return ""
	}
	return locale.AcceptLanguage(x.call.AcceptLanguage)
}

// login logs in by the password of the form.
func (x *Request) login() error {
	user := x.Form.Get("user")
	return x.enter(user, "Login", &types.LoginRequestType{
		UserName: user, Password: x.Form.Get("password"), Locale: x.wanted(),
	})
}

// loginKerberos logs in by the header of a browser that is set up for Kerberos (RFC 4559). A browser sends it when
// the server has asked for it.
func (x *Request) loginKerberos() error {
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Negotiate") {
		return x.negotiate("")
	}
	return x.enter("", "LoginBySSPI", &types.LoginBySSPIRequestType{
		Base64Token: strings.TrimSpace(token), Locale: x.wanted(),
	})
}

// negotiate asks the browser for a token of Kerberos. The page in the answer is for a browser that has no such token.
func (x *Request) negotiate(token string) error {
	x.w.Header().Set("WWW-Authenticate", strings.TrimSpace("Negotiate "+token))
	return x.showLogin(http.StatusUnauthorized, loginBody{
		Problem: x.Text("console.login.nokerberos"), Next: next(x.Form.Get("next")),
	})
}

// enter logs in and leads to the next page.
func (x *Request) enter(user, method string, args any) error {
	fault := x.start(vim.Proof{}, method, args)
	if fault == nil {
		return x.Redirect(next(x.Form.Get("next")))
	}
	if leg, more := fault.Detail.(*types.SSPIChallenge); more {
		if _, err := base64.StdEncoding.DecodeString(leg.Base64Token); err == nil {
			return x.negotiate(leg.Base64Token)
		}
	}
	return x.refuse(fault, user)
}

// start makes the call that logs in, and gives the browser the cookie. A session that the browser had before ends,
// because nobody could use it any more.
func (x *Request) start(proof vim.Proof, method string, args any) *vim.Fault {
	r, fault := x.do(x.ref(manager), method, args, secret.Text{}, proof)
	if fault != nil {
		return fault
	}
	if x.user != nil {
		if err := x.end(); err != nil {
			x.console.Logger.Warn("the session before a login is left", "session", x.user.Key, "err", err)
		}
	}
	x.console.setCookie(x.w.Header(), r.Token.Reveal())
	return nil
}

// refuse shows the login again, with the reason for which it was refused.
func (x *Request) refuse(fault *vim.Fault, user string) error {
	if fault.Detail == nil {
		return fault
	}
	return x.showLogin(statusOf(fault), loginBody{
		Problem: fault.Text(x.lang), Name: user, Next: next(x.Form.Get("next")),
	})
}

// end ends the caller's session. It is no error if that has ended already.
func (x *Request) end() error {
	_, fault := x.do(x.ref(manager), "Logout", &types.LogoutRequestType{}, x.call.Token, vim.Proof{})
	if fault == nil || vim.IsFault[*types.NotAuthenticated](fault) {
		return nil
	}
	return fault
}

// logout ends the caller's session and removes the cookie.
func (x *Request) logout() error {
	if err := x.end(); err != nil {
		return err
	}
	x.console.setCookie(x.w.Header(), "")
	return x.Redirect(Root + "login?out=1")
}

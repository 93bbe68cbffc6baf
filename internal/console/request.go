package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/console/page"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/vim"
)

const (
	bindingName = "console"
	// maxBody is the maximum size of a form in bytes. The largest one has the keys of all sessions of a page.
	maxBody = 64 << 10
	manager = "SessionManager"
)

// Request is a request for a page, and its answer. Only one goroutine may use it at a time, except for the method Do.
type Request struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request
	to      route
	nonce   string
	lang    string
	status  int // of the page; 0: OK
	// Form has the parameters: of GET those of the URL, of POST those of the form.
	Form url.Values

	call    vim.Call
	reading vim.Reading
	user    *types.UserSession // nil: nobody is logged in
}

// request returns a request that is not admitted yet.
func (c *Console) request(w http.ResponseWriter, r *http.Request, to route) *Request {
	x := &Request{console: c, w: w, r: r, to: to, nonce: rand.Text(), lang: c.language(r)}
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(policy, "'nonce-"+x.nonce+"'"))
	return x
}

// language returns the language that a caller without a session prefers.
func (c *Console) language(r *http.Request) string {
	return c.API.MessageLocale(&vim.Call{AcceptLanguage: strings.Join(r.Header["Accept-Language"], ",")})
}

// serve admits a request and runs its page.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, to route) {
	x := c.request(w, r, to)
	if refused(r) || c.origin.Check(r) != nil {
		x.problem(http.StatusForbidden, "console.crossorigin")
		return
	}
	if err := x.readForm(); err != nil {
		x.fail(err)
		return
	}
	x.call, _ = binding.NewCall(r, bindingName)
	x.call.Object = types.ManagedObjectReference{Type: "Console", Value: "console"}
	x.call.Name, x.call.Release = to.name, vim.FirstRelease
	// Other credentials of the request are for the other bindings.
	x.call.Token, x.call.HTTP.Ticket, x.call.Proof = c.token(r), secret.Text{}, vim.Proof{}
	foreign := vim.Foreign{
		Privilege: vim.View, OwnSession: true, Waits: to.stream, Measured: "Console", Operation: to.name,
	}
	if to.open {
		foreign.Privilege = vim.Anonymous
	}
	admission, fault := c.API.Admit(r.Context(), &x.call, foreign)
	x.lang = c.API.MessageLocale(&x.call)
	if fault != nil {
		x.fail(fault)
		return
	}
	defer x.call.Answered()
	defer admission.Done(nil)
	x.reading.Begin(c.API, &x.call)
	if x.call.Session != nil {
		own, err := Get[*types.UserSession](x, manager, "currentSession")
		if err != nil {
			x.fail(err)
			return
		}
		x.user = own
	}
	page := to.page
	if r.Method == http.MethodPost && !x.intended() {
		page = (*Request).refuseForm
	}
	if err := page(x); err != nil {
		x.fail(err)
	}
}

// intended reports whether the user has sent the form, and not a page of another origin: the form has the token of the
// session. One of the login may have that of the browser's cookie instead, or the browser says that it comes from a
// page of this origin, as all current ones do.
func (x *Request) intended() bool {
	if !x.to.open {
		return proves(x.Form.Get("token"), x.call.Token)
	}
	return x.r.Header.Get("Sec-Fetch-Site") == "same-origin" ||
		proves(x.Form.Get("token"), x.console.loginSecret(x.r))
}

// refuseForm answers a form that is not intended.
func (x *Request) refuseForm() error {
	if x.to.open {
		return x.showLogin(http.StatusForbidden, loginBody{
			Problem: x.Text("console.login.oldform"), Name: x.Form.Get("user"), Next: next(x.Form.Get("next")),
		})
	}
	x.problem(http.StatusForbidden, "console.oldform")
	return nil
}

var errForm = errors.New("the form can't be read")

// Bad returns the error for a form that makes no sense, which no browser sends by itself.
func (x *Request) Bad(why error) error { return fmt.Errorf("%w: %w", errForm, why) }

// readForm reads the parameters.
func (x *Request) readForm() error {
	if x.r.Method != http.MethodPost {
		var err error
		if x.Form, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
			return x.Bad(err)
		}
		return nil
	}
	body, err := x.console.Bodies.Read(x.w, x.r, maxBody)
	defer body.Free()
	switch {
	case errors.Is(err, binding.ErrCrowded):
		return vim.Unavailable(err)
	case err == nil:
		x.Form, err = url.ParseQuery(string(body.Bytes))
	}
	if err != nil {
		return x.Bad(err)
	}
	return nil
}

// fail answers with an error of a page.
func (x *Request) fail(err error) {
	fault, ok := errors.AsType[*vim.Fault](err)
	switch {
	case errors.Is(err, errForm):
		x.problem(http.StatusBadRequest, "console.badform")
	case !ok:
		x.console.Logger.Error("a page of the console failed", "path", x.r.URL.Path, "err", err)
		x.problem(http.StatusInternalServerError, "fault.SystemError")
	case vim.IsFault[*types.NotAuthenticated](fault) && x.to.stream:
		http.Error(x.w, "", http.StatusUnauthorized) // the script reloads the page
	case vim.IsFault[*types.NotAuthenticated](fault):
		x.toLogin()
	default:
		x.answer(binding.Status(x.w.Header(), fault, statusOf(fault)), fault.Text(x.lang))
	}
}

func statusOf(f *vim.Fault) int {
	switch f.Detail.(type) {
	case *types.NoPermission, *types.InvalidLogin:
		return http.StatusForbidden
	case *types.NotFound, *types.ManagedObjectNotFound:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

// problem answers with a page that explains why the requested page can't be shown.
func (x *Request) problem(status int, key string) { x.answer(status, x.Text(key)) }

func (x *Request) answer(status int, text string) {
	x.write(x.console.shared, status, "error", x.data(x.Text("console.error"), text))
}

// Page answers with a page of the section: the layout around the template, which shows body. It is an error if the
// session has ended in the meantime.
func (x *Request) Page(template, title string, body any) error {
	if err := x.console.API.Wanted(x.Context(), &x.call); err != nil {
		return err
	}
	x.write(x.templates(), cmp.Or(x.status, http.StatusOK), template, x.data(title, body))
	return nil
}

// Problem returns the text of the fault with which a call refused what a form asked for, so that the page of the form
// can show it, with the status of the fault. Any other error, which the page must return, is returned as it is.
func (x *Request) Problem(err error) (string, error) {
	fault, ok := errors.AsType[*vim.Fault](err)
	if !ok || fault.Detail == nil || vim.IsFault[*types.NotAuthenticated](fault) {
		return "", err
	}
	x.status = statusOf(fault)
	return fault.Text(x.lang), nil
}

// Part writes a template of the section without the layout.
func (x *Request) Part(w io.Writer, template string, body any) error {
	d := &page.Data{Locale: x.lang, Front: x.console.Front, Own: x.user.Key, Body: body}
	return x.templates().Part(w, template, d)
}

func (x *Request) templates() *page.Set {
	if x.to.section != nil && x.to.section.Templates != nil {
		return x.to.section.Templates
	}
	return x.console.shared
}

// Redirect answers with the path of another page, which the browser then requests.
func (x *Request) Redirect(path string) error {
	x.redirect(path)
	return nil
}

func (x *Request) redirect(path string) {
	x.w.Header().Set("Location", path)
	x.w.WriteHeader(http.StatusSeeOther)
}

// data returns the data of a page.
func (x *Request) data(title string, body any) *page.Data {
	d := &page.Data{
		Locale: x.lang, Title: title, Front: x.console.Front, Nonce: x.nonce, Body: body,
	}
	if x.user == nil {
		return d
	}
	d.User, d.Own, d.Token = x.user.UserName, x.user.Key, formToken(x.call.Token)
	for i := range x.console.Sections {
		if s := &x.console.Sections[i]; x.May(s.Needs) {
			d.Nav = append(d.Nav, page.Link{Path: Root + s.Name, Text: x.Text(s.Title), Current: s == x.to.section})
		}
	}
	d.Message = x.message()
	if l, err := Get[sessionmanager.VigateSessionLimits](x, sessionmanager.FactsType, "limits"); err == nil {
		d.Left = min(time.Duration(l.IdleSeconds)*time.Second,
			x.user.LoginTime.Add(time.Duration(l.LifetimeSeconds)*time.Second).Sub(x.Now()))
	}
	return d
}

// patience is how long a page waits for the service message. That of a front comes from the upstream, which may not
// answer just when somebody needs the page.
const patience = time.Second

// message returns the service message, or "" if it can't be read soon. A page is useful without it.
func (x *Request) message() string {
	ctx, cancel := context.WithTimeout(x.Context(), patience)
	defer cancel()
	v, fault := x.reading.Read(ctx, x.ref(manager), "message")
	text, err := as[string](v, fault)
	if err != nil {
		return ""
	}
	return text
}

// Text returns a text in the language of the caller.
func (x *Request) Text(key string, args ...any) string { return locale.Text(x.lang, key, args...) }

// Language returns the locale of the texts.
func (x *Request) Language() string { return x.lang }

// Now returns the time of the server's clock.
func (x *Request) Now() time.Time { return x.console.API.Now() }

// Front returns the name of the front, or "" for the server itself.
func (x *Request) Front() string { return x.console.Front }

// Own returns the caller's session.
func (x *Request) Own() *types.UserSession { return x.user }

// Context is cancelled when the client has gone.
func (x *Request) Context() context.Context { return x.r.Context() }

// May reports whether the caller may use the row.
func (x *Request) May(r Row) bool { return x.Check(r) == nil }

// Check returns the fault with which the row would refuse the caller.
func (x *Request) Check(r Row) error {
	if fault := x.console.API.May(x.Context(), &x.call, x.ref(r.Type), r.Name, !r.Method); fault != nil {
		return fault
	}
	return nil
}

// ref returns the reference of the type's only object.
func (x *Request) ref(typ string) types.ManagedObjectReference {
	if o := x.console.API.Object(typ); o != nil {
		return o.Ref()
	}
	return types.ManagedObjectReference{Type: typ, Value: typ}
}

// Get reads a property of the type's only object. It does not count as a call.
func Get[T any](x *Request, typ, name string) (T, error) {
	v, fault := x.reading.Read(x.Context(), x.ref(typ), name)
	return as[T](v, fault)
}

// GetOf is Get for an object of the session, such as a collector.
func GetOf[T any](x *Request, of types.ManagedObjectReference, name string) (T, error) {
	v, fault := x.reading.Read(x.Context(), of, name)
	return as[T](v, fault)
}

// Open reads a property that is a long list. Its elements are read while the caller iterates.
func Open[T any](x *Request, typ, name string) (iter.Seq[T], error) {
	v, fault := x.reading.Open(x.Context(), x.ref(typ), name)
	return as[iter.Seq[T]](v, fault)
}

func as[T any](v any, fault *vim.Fault) (T, error) {
	var none T
	if fault != nil {
		return none, fault
	}
	if v == nil {
		return none, nil // an optional value that is unset
	}
	t, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("got a %T, want a %T", v, none)
	}
	return t, nil
}

// Do calls a method of the type's only object. It is a call of its own, which is counted, measured and audited. Several
// goroutines may call Do at the same time.
func (x *Request) Do(typ, name string, args any) (any, error) {
	r, fault := x.do(x.ref(typ), name, args, x.call.Token, vim.Proof{})
	if fault != nil {
		return nil, fault
	}
	return r.Value, nil
}

// Destroy removes an object of the session, such as a collector. It does not count as a call.
func (x *Request) Destroy(of types.ManagedObjectReference) { x.console.API.Destroy(of) }

func (x *Request) do(
	on types.ManagedObjectReference, name string, args any, token secret.Text, proof vim.Proof,
) (vim.Result, *vim.Fault) {
	c := vim.Call{
		Object: on, Name: name, Args: args, Token: token, Proof: proof, Peer: x.call.Peer, HTTP: x.call.HTTP,
		Release: x.call.Release, AcceptLanguage: x.call.AcceptLanguage, Binding: bindingName,
	}
	defer c.Answered()
	return x.console.API.Do(x.Context(), &c)
}

// Package dispense gives clone tickets to programs that have no password: the cloud provider and the storage
// driver of Kubernetes, which get a session of their own from each ticket (the setting
// vc-session-manager-url).
//
// A [Dispenser] is an http.Handler for one path of a front. It verifies who asks, limits how often each of
// them may, and asks a source for the ticket. It knows neither where a ticket is good nor how it is made.
package dispense

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// answerTime is how long an answer takes at most. The clients give up after five seconds, and should learn
// the reason.
const answerTime = 2 * time.Second

// maxAsking is how many requests may be in work. Further ones get 503.
const maxAsking = 128

// Subject is who gets a ticket.
type Subject struct {
	// Name is the subject of a JSON Web Token, or a name in the file of tokens.
	Name string
	// Identity is what the token proves. It is nil for a name in the file.
	Identity *session.Identity
}

// Dispenser serves tickets at one path. Its exported fields must be set before the first request.
type Dispenser struct {
	Front, Account string // names, for the audit log
	Target         string // where the tickets are good, for the audit log

	// Verify checks a JSON Web Token, see jwt.Method.Verify. It is nil if no issuer is configured.
	Verify func(context.Context, secret.Text) (jwt.Verified, error)
	// Subjects are the subjects of JSON Web Tokens that get tickets.
	Subjects []string
	// Tokens are the tokens of programs without an issuer. It may be nil.
	Tokens *Tokens
	// PerMinute is how many tickets a subject gets in a minute.
	PerMinute int
	// Ticket makes a ticket. An error means that there is none at the moment.
	Ticket func(context.Context, Subject) (secret.Text, error)

	// Observe is called with the status of each answer. It may be nil.
	Observe func(status int)
	Logger  *slog.Logger     // if nil, slog.Default
	Now     func() time.Time // if nil, time.Now

	once     sync.Once
	asking   chan struct{}
	quota    quota // of tickets, by subject
	failures quota // of bad tokens, by network
}

// maxFailures is how many bad tokens a network may send in a minute.
const maxFailures = 60

func (d *Dispenser) init() {
	d.once.Do(func() {
		d.asking = make(chan struct{}, maxAsking)
		if d.Logger == nil {
			d.Logger = slog.Default()
		}
		if d.Now == nil {
			d.Now = time.Now
		}
		if d.Observe == nil {
			d.Observe = func(int) {}
		}
	})
}

// outcome is the outcome of a request, for the answer and for the audit log.
type outcome struct {
	status  int
	ticket  secret.Text
	text    string // for the client
	after   time.Duration
	subject string // "" if nobody was found
	cause   error  // only for the log
}

// ServeHTTP answers GET with {"token": TICKET}.
//
// The clients send each request over a connection of its own and never close it, so the server does.
func (d *Dispenser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.init()
	h := w.Header()
	h["Connection"], h["Cache-Control"] = []string{"close"}, []string{"no-store"}
	if r.Method != http.MethodGet {
		h["Allow"] = []string{http.MethodGet}
		d.send(w, outcome{status: http.StatusMethodNotAllowed, text: "Only GET is served here."})
		return
	}
	token, ok := bearer(r.Header)
	if !ok {
		d.send(w, outcome{status: http.StatusUnauthorized, text: "A bearer token is needed."})
		return
	}
	o := d.within(r.Context(), token, peer.Network(peer.From(r.Context()).Address))
	if o.subject != "" || o.status != http.StatusTooManyRequests {
		d.audit(r, o)
	}
	d.send(w, o)
}

// within returns the outcome in time. If it takes longer, it goes on in the background, and nobody gets the ticket.
func (d *Dispenser) within(ctx context.Context, token secret.Text, network string) outcome {
	select {
	case d.asking <- struct{}{}:
	default:
		return outcome{status: http.StatusServiceUnavailable, text: "Too many requests.", after: time.Second}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-d.asking }()
		defer cancel()
		done <- d.ask(ctx, token, network)
	}()
	select {
	case o := <-done:
		return o
	case <-ctx.Done():
	}
	select {
	case o := <-done: // at the same time
		return o
	default:
		return outcome{status: http.StatusServiceUnavailable, text: "There is no ticket in time.", after: time.Second,
			cause: context.Cause(ctx)}
	}
}

// ask finds out who asks and makes the ticket.
func (d *Dispenser) ask(ctx context.Context, token secret.Text, network string) outcome {
	if after := d.failures.blocked(network, maxFailures, d.Now()); after > 0 {
		return outcome{status: http.StatusTooManyRequests, text: "Too many wrong tokens.", after: after}
	}
	s, o := d.identify(ctx, token)
	if o.status != 0 {
		if o.status == http.StatusUnauthorized {
			d.failures.take(network, maxFailures, d.Now())
		}
		return o
	}
	o = outcome{status: http.StatusOK, subject: s.Name}
	if after := d.quota.take(s.Name, d.PerMinute, d.Now()); after > 0 {
		o.status, o.text, o.after = http.StatusTooManyRequests, "This subject has got too many tickets.", after
		return o
	}
	switch o.ticket, o.cause = d.Ticket(ctx, s); {
	case errors.Is(o.cause, ErrRefused):
		o.status, o.text = http.StatusForbidden, "The subject of the token gets no tickets here."
	case o.cause != nil:
		o.status, o.text, o.after = http.StatusServiceUnavailable, "There is no ticket at the moment.", 2*time.Second
	}
	return o
}

// bearer returns the token of a request.
func bearer(h http.Header) (secret.Text, bool) {
	all := h["Authorization"]
	if len(all) != 1 { // of two, a proxy might check one and the server the other
		return secret.Text{}, false
	}
	scheme, token, _ := strings.Cut(all[0], " ")
	token = strings.TrimSpace(token)
	return secret.New(token), strings.EqualFold(scheme, "Bearer") && token != ""
}

// identify finds the subject of a token. The outcome has a status if there is none.
func (d *Dispenser) identify(ctx context.Context, token secret.Text) (Subject, outcome) {
	if d.Tokens != nil {
		name, err := d.Tokens.find(ctx, token)
		switch {
		case err != nil && d.Verify == nil:
			return Subject{}, unknown(err)
		case err != nil: // a subject of an issuer needs no file
			d.Logger.Error("the file of tokens can't be used", "front", d.Front, "err", err)
		case name != "":
			return Subject{Name: name}, outcome{}
		}
	}
	if d.Verify == nil {
		return Subject{}, outcome{status: http.StatusUnauthorized, text: "The token is not known."}
	}
	v, err := d.Verify(ctx, token)
	switch {
	case errors.Is(err, login.ErrRejected):
		return Subject{}, outcome{status: http.StatusUnauthorized, text: "The token is not accepted.", cause: err}
	case err != nil:
		return Subject{}, unknown(err)
	case v.Subject == "" || !slices.Contains(d.Subjects, v.Subject):
		return Subject{}, outcome{
			status: http.StatusForbidden, text: "The subject of the token gets no tickets here.", subject: v.Subject,
		}
	}
	return Subject{Name: v.Subject, Identity: &v.Identity}, outcome{}
}

// unknown is the outcome if nobody has learned whether the token is good.
func unknown(err error) outcome {
	return outcome{
		status: http.StatusServiceUnavailable, text: "The token can't be verified at the moment.",
		after: 2 * time.Second, cause: err,
	}
}

// send sends the answer.
func (d *Dispenser) send(w http.ResponseWriter, o outcome) {
	d.Observe(o.status)
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	if o.after > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(o.after.Seconds())))}
	}
	if o.status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{"Bearer"}
	}
	member, value := "message", o.text
	if o.status == http.StatusOK {
		member, value = "token", o.ticket.Reveal()
	}
	b, err := json.Marshal(map[string]string{member: value})
	if err != nil {
		panic(err) // texts can be encoded
	}
	w.WriteHeader(o.status)
	_, _ = w.Write(b) // an error means that the client has disconnected
}

// audit writes the line of a request that named a subject or failed to.
func (d *Dispenser) audit(r *http.Request, o outcome) {
	p := peer.From(r.Context())
	attrs := []slog.Attr{
		slog.String("operation", "Dispenser.Ticket"), slog.String("outcome", outcomeText(o.status)),
		slog.String("user", shorten(o.subject)), slog.String("address", p.Address), slog.String("binding", "dispense"),
		slog.String("request", p.Request.String()), slog.String("front", d.Front), slog.String("account", d.Account),
		slog.String("target", d.Target),
	}
	if o.cause != nil {
		attrs = append(attrs, slog.Any("cause", o.cause))
	}
	level := slog.LevelInfo
	if o.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	d.Logger.LogAttrs(r.Context(), level, "audit", attrs...)
}

func outcomeText(status int) string {
	if status == http.StatusOK {
		return "success"
	}
	return http.StatusText(status)
}

// shorten bounds what a token makes the log write.
func shorten(s string) string {
	if len(s) > 256 {
		s = strings.ToValidUTF8(s[:256], "") + "…"
	}
	return s
}

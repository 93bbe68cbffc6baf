package sts

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// The names of RFC 8693.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typePrefix    = "urn:ietf:params:oauth:token-type:"
	typeSAML      = typePrefix + "saml2"

	// maxForm is the size of the largest form, in bytes. A JSON Web Token has at most 16 KiB, and a client
	// may send it three times.
	maxForm = 64 << 10
)

// oauthError is an error of an exchange, as RFC 6749 §5.2 defines it.
type oauthError struct {
	Code string `json:"error"`
	Text string `json:"error_description"`

	status int
	cause  error
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Text }

func (e *oauthError) Unwrap() error { return e.cause }

func badForm(text string) error {
	return &oauthError{"invalid_request", text, http.StatusBadRequest, nil}
}

// exchanged is the answer to an exchange.
type exchanged struct {
	Token   string `json:"access_token"` // base64 of the SAML token
	Issued  string `json:"issued_token_type"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"` // seconds
}

// exchange gives the owner of a JSON Web Token of a configured issuer a bearer token of this service.
func (s *Service) exchange(w http.ResponseWriter, r *http.Request) {
	ctx, p := r.Context(), peer.From(r.Context())
	answer, err := s.exchangeToken(ctx, w, r, p)
	status, body := http.StatusOK, any(answer)
	if err != nil {
		e := oauthErrorOf(err)
		s.o.Logger.InfoContext(ctx, "exchange of a token refused", "request", p.Request.String(), "address", p.Address,
			"err", err)
		if e.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		status, body = e.status, e
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // texts and numbers can be encoded
	}
	binding.Send(w, r.Method, status, []string{"application/json"}, b)
}

// exchangeToken returns the answer to an exchange.
func (s *Service) exchangeToken(
	ctx context.Context, w http.ResponseWriter, r *http.Request, p *peer.Peer,
) (answer exchanged, err error) {
	if r.Method != http.MethodPost {
		return answer, &oauthError{"invalid_request", "The method must be POST.", http.StatusMethodNotAllowed, nil}
	}
	if !secured(p) {
		return answer, badForm("This service needs TLS.")
	}
	if httptoken.Foreign(r) {
		return answer, &oauthError{"invalid_request", textForeign, http.StatusForbidden, nil}
	}
	authorization := r.Header["Authorization"]
	if len(authorization) > 1 { // a proxy might check one of them and the server another
		return answer, badForm("There are several Authorization headers.")
	}
	if kind, _, err := mime.ParseMediaType(strings.Join(r.Header["Content-Type"], ",")); err != nil ||
		kind != "application/x-www-form-urlencoded" {
		return answer, badForm("The request must be a form: application/x-www-form-urlencoded.")
	}
	body, err := s.bodies.Read(w, r, maxForm)
	defer body.Free()
	if errors.Is(err, binding.ErrCrowded) {
		return answer, login.ErrBusy
	} else if err != nil {
		return answer, badForm("The form is too large or incomplete.")
	}
	token, err := subjectToken(string(body.Bytes), strings.Join(authorization, ""))
	if err != nil {
		return answer, err
	}
	who, err := s.gate.Prove(ctx, login.Attempt{Peer: *p, Credential: login.Assertion{
		Authorization: secret.New("Bearer " + token), Method: r.Method, Host: r.Host, Target: r.URL.RequestURI(),
	}})
	if err != nil {
		return answer, err
	}
	t := &saml.Assertion{Context: saml.ContextToken, SessionEnd: who.NotAfter}
	if err := s.describe(t, who.Identity); err != nil {
		return answer, err
	}
	signed, err := s.sign(ctx, p, who, t, 0, who.NotAfter)
	if err != nil {
		return answer, err
	}
	return exchanged{
		Token: base64.StdEncoding.EncodeToString(signed), Issued: typeSAML, Type: "bearer",
		Expires: int64(t.NotOnOrAfter.Sub(t.NotBefore) / time.Second),
	}, nil
}

// subjectToken returns the JSON Web Token that a form and the header Authorization bring. The token of the
// form is the subject's; clients also send it in the header. actor_token is not used: the vendor's clients
// send the ID token of the same user in it.
func subjectToken(form, authorization string) (string, error) {
	values, err := url.ParseQuery(form)
	if err != nil {
		return "", badForm("The form is malformed.")
	}
	for _, all := range values {
		if len(all) > 1 {
			return "", badForm("A parameter is repeated.")
		}
	}
	if values.Get("grant_type") != grantExchange {
		return "", &oauthError{"unsupported_grant_type", "The grant_type must be " + grantExchange + ".",
			http.StatusBadRequest, nil}
	}
	if kind := values.Get("requested_token_type"); kind != "" && kind != typeSAML {
		return "", unsupported("Only tokens of the type " + typeSAML + " are issued.")
	}
	switch kind := values.Get("subject_token_type"); strings.TrimPrefix(kind, typePrefix) {
	case "", "access_token", "id_token", "jwt":
	default:
		return "", unsupported("The subject_token must be a JSON Web Token.")
	}
	token := values.Get("subject_token")
	if scheme, sent, ok := strings.Cut(authorization, " "); token == "" && ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(sent)
	}
	if token == "" {
		return "", badForm("There is no subject_token.")
	}
	return token, nil
}

func unsupported(text string) error {
	return &oauthError{"unsupported_token_type", text, http.StatusBadRequest, nil}
}

// oauthErrorOf returns the answer to an error. RFC 8693 §2.2.2 wants invalid_request for tokens that are
// not valid.
func oauthErrorOf(err error) *oauthError {
	if e, ok := errors.AsType[*oauthError](err); ok {
		return e
	}
	if errors.Is(err, login.ErrNotMine) {
		return &oauthError{"unsupported_token_type", "No issuer of JSON Web Tokens is configured.",
			http.StatusBadRequest, err}
	}
	if errors.Is(err, session.ErrStale) || errors.Is(err, login.ErrBusy) {
		return &oauthError{"temporarily_unavailable", textBusy, http.StatusServiceUnavailable, err}
	}
	f := faultOf(err, failedAuthentication, "The subject_token is not valid.")
	switch {
	case f.code == failedAuthentication, f.code == invalidTimeRange:
		return &oauthError{"invalid_request", f.text, http.StatusBadRequest, err}
	case f.text == textBusy, f.text == textUnavailable:
		return &oauthError{"temporarily_unavailable", f.text, http.StatusServiceUnavailable, err}
	}
	return &oauthError{"server_error", "The token can't be exchanged now.", http.StatusInternalServerError, err}
}

package sts

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/xmlsig"
)

// renewals and delegations are how many times a new token may be renewed or delegated.
const (
	renewals    = 10
	delegations = 10
)

// trust serves WS-Trust.
func (s *Service) trust(w http.ResponseWriter, r *http.Request) {
	ctx, p := r.Context(), peer.From(r.Context())
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		binding.Send(w, r.Method, http.StatusMethodNotAllowed, []string{"text/plain; charset=utf-8"},
			[]byte("The Security Token Service takes POST only.\n"))
		return
	}
	answer, err := s.answer(ctx, w, r, p)
	if err == nil {
		binding.Send(w, r.Method, http.StatusOK, contentXML, []byte(answer))
		return
	}
	f := faultOf(err, failedAuthentication, textCredentials)
	s.o.Logger.InfoContext(ctx, "token request refused", "request", p.Request.String(), "address", p.Address, "err", f)
	f.send(w)
}

// answer returns the response to a request.
func (s *Service) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, p *peer.Peer) (string, error) {
	if !secured(p) {
		return "", failed(requestFailed, "This service needs TLS", nil)
	}
	if httptoken.Foreign(r) {
		return "", failed(invalidRequest, textForeign, nil)
	}
	if d := r.PathValue("domain"); d != "" && !strings.EqualFold(d, s.domain) {
		return "", malformed("a domain that is not this server's")
	}
	body, err := s.bodies.Read(w, r, xmlsig.MaxBytes)
	defer body.Free()
	switch {
	case errors.Is(err, binding.ErrCrowded):
		return "", failed(requestFailed, textBusy, err)
	case err != nil:
		return "", failed(invalidRequest, "The message is incomplete or too large", err)
	}
	in, err := s.verified(ctx, p, strings.Join(r.Header["Soapaction"], ","), body.Bytes)
	body.Free()
	if err != nil {
		return "", s.count(ctx, p, err)
	}
	switch in.kind {
	case kindRenew:
		return s.renew(ctx, p, in)
	case kindValidate:
		return s.validate(ctx, p, in)
	}
	return s.issue(ctx, p, in)
}

// verified reads a request and verifies its signatures, when it is the client's turn.
func (s *Service) verified(ctx context.Context, p *peer.Peer, action string, raw []byte) (in *request, err error) {
	unconfirmed := s.Again(ctx, func() error {
		err = s.work(ctx, p, func() (err error) {
			in, err = s.read(action, raw)
			return err
		})
		if err == nil {
			return in.targetErr // the answer to Validate
		}
		return err
	})
	if errors.Is(unconfirmed, login.ErrUnconfirmed) {
		return nil, unconfirmed
	}
	return in, err
}

// issue answers a request for a new token.
func (s *Service) issue(ctx context.Context, p *peer.Peer, r *request) (string, error) {
	if r.certificate == nil && !r.bearer {
		return "", failed(invalidSecurity, "A holder-of-key token needs a message that its key has signed", nil)
	}
	if r.actAs != nil && (r.bearer || r.certificate == nil) {
		return "", failed(invalidRequest, "A token by ActAs must be a holder-of-key token", nil)
	}
	who, err := s.requester(ctx, p, r)
	if err != nil {
		return "", err
	}
	t := &saml.Assertion{Context: contextOf(r)}
	if !r.bearer {
		t.Key = r.certificate
		t.Renewable, t.Renewals = r.renew, renewals
		for _, from := range []*saml.Assertion{r.token, r.actAs} {
			// A token that was issued for another token can't be renewed more often than that one. Otherwise its
			// owner could prolong it for ever, by requesting a new token after each renewal. A bearer token can't be
			// renewed at all. But a token that ActAs makes from it can, because govc renews it at once to get the
			// lifetime that it wants. Each ActAs decreases the number of delegations, so the chain of tokens is
			// finite.
			if from != nil && !from.Bearer() {
				t.Renewable, t.Renewals = t.Renewable && from.Renewable, min(t.Renewals, from.Renewals)
			}
		}
	}
	if r.delegate {
		t.Delegations = delegations
	}
	ends := []time.Time{who.NotAfter}
	if r.token != nil {
		ends = append(ends, r.token.NotOnOrAfter) // otherwise one token would live for ever
	}
	if r.actAs == nil {
		t.SessionEnd = who.NotAfter
		if err := s.describe(t, who.Identity); err != nil {
			return "", err
		}
		if r.token != nil {
			// Otherwise the owner could have it delegated more often by asking for a new one each time.
			t.Delegations = min(t.Delegations, delegable(r.token))
		}
		if who.Origin != nil { // the requester's token is a delegated one, and so is the new one
			t.Holder, t.Delegates = r.token.Holder, r.token.Delegates
		}
	} else {
		if err := s.delegate(ctx, t, who, r); err != nil {
			return "", err
		}
		ends = append(ends, r.actAs.NotOnOrAfter)
	}
	signed, err := s.sign(ctx, p, who, t, r.lifetime, ends...)
	if err != nil {
		return "", err
	}
	return trustHead + collection(response(t, signed)) + trustTail, nil
}

func contextOf(r *request) string {
	switch {
	case r.token != nil:
		return saml.ContextToken
	case r.password != nil:
		return saml.ContextPassword
	}
	return saml.ContextCertificate
}

// delegable returns how many times a token may be delegated.
func delegable(a *saml.Assertion) int {
	if a.Delegations == saml.Unlimited {
		return delegations
	}
	return a.Delegations
}

// delegate makes t a token by which the requester acts as the subject of another token. The requester needs the
// privilege to impersonate others, which every extension has. The delegatable token is the subject's consent.
func (s *Service) delegate(ctx context.Context, t *saml.Assertion, who login.Proof, r *request) error {
	requester := login.Subject(who.Identity)
	if who.Origin != nil || !s.o.Access.Has(requester, access.ImpersonateUser) {
		return failed(requestFailed, "The requester may not act as others", nil)
	}
	left := delegable(r.actAs)
	if left < 1 {
		return failed(requestFailed, "The token of ActAs can't be delegated", nil)
	}
	g, err := s.Confirm(ctx, r.actAs)
	if err != nil {
		return faultOf(err, invalidSecurityToken, "The subject of the token of ActAs may not log in any more")
	}
	if err := s.describe(t, g.Identity); err != nil {
		return err
	}
	if t.Holder, err = s.name(who.Identity); err != nil {
		return err
	}
	t.Context, t.SessionEnd = r.actAs.Context, r.actAs.SessionEnd
	t.Delegates = append(slices.Clone(r.actAs.Delegates), saml.Delegate{Name: t.Holder, At: s.now()})
	t.Delegations = min(t.Delegations, left-1)
	return nil
}

// renew answers a request to renew a token.
func (s *Service) renew(ctx context.Context, p *peer.Peer, r *request) (string, error) {
	old := r.target
	switch {
	case old.Bearer():
		return "", failed(unableToRenew, "A bearer token can't be renewed", nil)
	case r.certificate == nil:
		return "", failed(invalidSecurity, "The request must be signed by the key of the token", nil)
	case string(r.certificate.RawSubjectPublicKeyInfo) != string(old.Key.RawSubjectPublicKeyInfo):
		return "", s.count(ctx, p, untrusted(unableToRenew, "The request is not signed by the key of the token",
			errors.New("another key has signed the request to renew a token")))
	case !old.Renewable || old.Renewals < 1:
		return "", failed(unableToRenew, "The token can't be renewed, or not any more", nil)
	}
	who, err := s.gate.Prove(ctx, login.Attempt{Peer: *p, Credential: credential{
		func(ctx context.Context) (session.Grant, error) { return s.Confirm(ctx, old) },
	}})
	if err != nil {
		return "", faultOf(err, unableToRenew, "The subject of the token may not log in any more")
	}
	t := &saml.Assertion{
		Key: old.Key, Holder: old.Holder, Context: old.Context, Renewable: true, Renewals: old.Renewals - 1,
		Delegations: old.Delegations, Delegates: old.Delegates, SessionEnd: old.SessionEnd,
	}
	if err := s.describe(t, who.Identity); err != nil {
		return "", err
	}
	signed, err := s.sign(ctx, p, who, t, r.lifetime, who.NotAfter, old.SessionEnd)
	if err != nil {
		return "", err
	}
	return trustHead + response(t, signed) + trustTail, nil
}

// validate answers whether a token is valid now. It is not if its subject may not log in any more.
func (s *Service) validate(ctx context.Context, p *peer.Peer, r *request) (string, error) {
	status, err := "valid", s.count(ctx, p, r.targetErr)
	if err == nil {
		_, err = s.Confirm(ctx, r.target)
	}
	if err != nil {
		f := faultOf(err, invalidSecurityToken, "")
		if f.code != invalidSecurityToken {
			return "", f
		}
		status = "invalid"
	}
	return trustHead + `<wst:RequestSecurityTokenResponse xmlns:wst="` + nsTrust + `"><wst:TokenType>` + nsTrust +
		`/RSTR/Status</wst:TokenType><wst:Status><wst:Code>` + nsTrust + `/status/` + status +
		`</wst:Code></wst:Status></wst:RequestSecurityTokenResponse>` + trustTail, nil
}

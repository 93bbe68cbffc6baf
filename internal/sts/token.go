package sts

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/xmlsig"
)

// now is the time in the precision of tokens.
func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

// name returns the name of a principal in tokens. An extension has the domain of the local users there.
func (s *Service) name(i session.Identity) (principal.Name, error) {
	n := i.Name
	if i.Extension {
		n.Domain = s.domain
	}
	if read, err := principal.Parse(n.User+"@"+n.Domain, ""); err != nil || read != n {
		return n, failed(requestFailed, "The name of the user can't be written into a token", err)
	}
	return n, nil
}

// describe writes the identity into a token.
func (s *Service) describe(t *saml.Assertion, i session.Identity) (err error) {
	if t.Subject, err = s.name(i); err != nil {
		return err
	}
	t.Solution = i.Extension
	if !i.Extension {
		t.GivenName, t.Surname = i.FullName, ""
		if at := strings.LastIndexByte(i.FullName, ' '); at > 0 {
			t.GivenName, t.Surname = i.FullName[:at], i.FullName[at+1:]
		}
	}
	for _, g := range i.Groups {
		n, err := principal.Parse(g, "")
		if err != nil {
			continue // no permission can be for it
		}
		if len(t.Groups) == saml.MaxGroups {
			s.o.Logger.Warn("a token has not all groups of its subject", "principal", i.Name.String(),
				"groups", len(i.Groups), "max", saml.MaxGroups)
			break
		}
		t.Groups = append(t.Groups, n)
	}
	return nil
}

// fullName returns the full name in a token.
func fullName(a *saml.Assertion) string { return strings.TrimSpace(a.GivenName + " " + a.Surname) }

// sign completes a token that by has asked for, and posts its event. The token begins when the proof of by began,
// so that a password that is changed later ends it. It ends after life,
// at the longest life of its kind, with the certificates of its key and of the service, or at one of the ends
// that are not zero, whichever is first. If its key is replaced meanwhile, another one signs it.
func (s *Service) sign(
	ctx context.Context, p *peer.Peer, by login.Proof, t *saml.Assertion, life time.Duration, ends ...time.Time,
) (signed []byte, err error) {
	for range signTries {
		signer, err := s.o.Keys.Signer(ctx)
		if err != nil {
			return nil, err
		}
		signed, err = s.signBy(ctx, signer, p, t, s.begin(t, by.At), life, ends)
		if err == nil {
			err = s.post(ctx, p, by, t, signer)
		}
		switch {
		case errors.Is(err, store.ErrConflict):
			continue // this server knows of the new key now
		case err != nil:
			return nil, err
		}
		s.o.Logger.InfoContext(ctx, "token issued", "request", p.Request.String(), "id", t.ID,
			"principal", t.Subject.String(), "holder", t.Holder.String(), "bearer", t.Bearer(), "ends", t.NotOnOrAfter,
			"address", p.Address)
		return signed, nil
	}
	return nil, fmt.Errorf("sign token: %w", session.ErrStale)
}

// signTries is how often a token is signed while its key is replaced each time.
const signTries = 3

// begin returns when a token begins whose owner proved itself at a time. It is that time in the precision of tokens,
// and usually a fraction of a millisecond earlier. But it is not before the password of a user in the token or the
// registration of an extension in it, if the proof was not: Confirm would take the token for an older one.
func (s *Service) begin(t *saml.Assertion, proof time.Time) time.Time {
	begin := proof.UTC().Truncate(time.Millisecond)
	names := []principal.Name{t.Subject, t.Holder}
	for _, d := range t.Delegates {
		names = append(names, d.Name)
	}
	for _, n := range names {
		if n.Domain != s.domain {
			continue
		}
		u, _ := s.o.Accounts.Find(n)
		e, _ := s.o.Extensions.Find(n.User)
		for _, since := range []time.Time{u.PasswordChanged, e.Registered} {
			if begin.Before(since) && !proof.Before(since) {
				return begin.Add(time.Millisecond)
			}
		}
	}
	return begin
}

// signBy completes a token and signs it by the key.
func (s *Service) signBy(
	ctx context.Context, signer xmlsig.Signer, p *peer.Peer, t *saml.Assertion, begin time.Time, life time.Duration,
	ends []time.Time,
) (signed []byte, err error) {
	now, most := s.now(), s.o.BearerMax
	certificates := []*x509.Certificate{signer.Chain[0]}
	if t.Key != nil {
		most = s.o.KeyMax
		certificates = append(certificates, t.Key)
		if now.Before(t.Key.NotBefore) {
			return nil, failed(invalidTimeRange, "The certificate is not valid yet", nil)
		}
	}
	end := begin.Add(min(cmp.Or(life, s.o.BearerMax), most))
	for _, c := range certificates {
		ends = append(ends[:len(ends):len(ends)], c.NotAfter)
	}
	for _, e := range ends {
		if !e.IsZero() && e.Before(end) {
			end = e.UTC().Truncate(time.Millisecond)
		}
	}
	if !now.Before(end) {
		return nil, failed(invalidTimeRange, "The certificate or the token has expired", nil)
	}
	t.ID, t.Issuer, t.Issued, t.NotBefore, t.NotOnOrAfter = saml.NewID(), s.Issuer(), begin, begin, end
	err = s.work(ctx, p, func() (err error) {
		signed, err = t.Sign(signer)
		return err
	})
	return signed, err
}

// The kinds of tokens in events.
const (
	kindBearer      = "bearer"
	kindHolderOfKey = "holder of key"
)

// post posts the event of an issued token: who got it, for whom, of which kind, and until when it is valid. No token
// is issued without the event. If the key of the token is not trusted any more, the error is store.ErrConflict,
// wrapped.
func (s *Service) post(
	ctx context.Context, p *peer.Peer, by login.Proof, t *saml.Assertion, signer xmlsig.Signer,
) error {
	if s.o.Post == nil {
		return nil
	}
	trusted, known := s.o.Keys.Require(signer.Chain[0])
	if !known {
		return fmt.Errorf("post event of token: its key is replaced: %w", store.ErrConflict)
	}
	e := event.Event{
		Type: "EventEx", ID: "vigate.token.issued", User: by.Identity.Name.String(), Subject: t.Subject.String(),
		Address: p.Address, UserAgent: p.UserAgent,
		Args: map[string]string{"kind": kindBearer, "ends": t.NotOnOrAfter.Format(timeForm), "token": t.ID},
	}
	if by.Origin != nil {
		e.Origin = by.Origin.Name.String()
	}
	if !t.Bearer() {
		e.Args["kind"] = kindHolderOfKey
	}
	if err := s.o.Post(ctx, e, trusted); err != nil {
		return fmt.Errorf("post event of token: %w", err)
	}
	return nil
}

// The envelope around an answer.
const (
	trustHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<S:Envelope xmlns:S="` + nsEnvelope + `"><S:Body>`
	trustTail = `</S:Body></S:Envelope>`

	timeForm = "2006-01-02T15:04:05.000Z"
)

// response returns the RequestSecurityTokenResponse of a token. Clients take the token out of it as text.
// So the token declares all namespaces that it uses.
func response(t *saml.Assertion, signed []byte) string {
	return `<wst:RequestSecurityTokenResponse xmlns:wst="` + nsTrust + `"><wst:TokenType>` + nsSAML +
		`</wst:TokenType><wst:RequestedSecurityToken>` + string(signed) + `</wst:RequestedSecurityToken>` +
		`<wst:Lifetime xmlns:wsu="` + nsUtility + `"><wsu:Created>` + t.NotBefore.Format(timeForm) +
		`</wsu:Created><wsu:Expires>` + t.NotOnOrAfter.Format(timeForm) +
		`</wsu:Expires></wst:Lifetime></wst:RequestSecurityTokenResponse>`
}

// collection returns the collection of one response, which is the answer to Issue.
func collection(response string) string {
	return `<wst:RequestSecurityTokenResponseCollection xmlns:wst="` + nsTrust + `">` + response +
		`</wst:RequestSecurityTokenResponseCollection>`
}

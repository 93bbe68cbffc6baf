package sts

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/xmlsig"
)

// The kinds of requests.
const (
	kindIssue    = "Issue"
	kindRenew    = "Renew"
	kindValidate = "Validate"
)

// request is a request whose signatures are verified.
type request struct {
	kind     string
	lifetime time.Duration // 0: the client does not say
	bearer   bool
	renew    bool // the token must be renewable
	delegate bool // the token must be delegatable

	// password is the client's password, or nil.
	password *login.Password
	// certificate is that of the key that has signed the message, or nil.
	certificate *x509.Certificate
	// proof is that of the signature.
	proof saml.Proof
	// token is the holder-of-key token in the header whose key has signed the message, or nil.
	token *saml.Assertion
	// actAs is the token for whose subject the new token is, or nil. target is the token to be renewed or
	// validated.
	actAs, target *saml.Assertion
	// targetErr is the reason why the target is not valid. Validate puts it into its answer.
	targetErr error
}

func malformed(reason string) error {
	return failed(invalidRequest, "Invalid request: "+reason, nil)
}

// untrusted is the error of a message that can't be read, or of a signature or a token that was not accepted.
// It counts as a failed login of the client's address.
func untrusted(code, text string, cause error) error {
	return failed(code, text, fmt.Errorf("%w: %w", login.ErrRejected, cause))
}

// read reads a request and verifies its signatures. action is the value of the header SOAPAction.
func (s *Service) read(action string, raw []byte) (*request, error) {
	m, err := saml.ReadMessage(raw)
	if err != nil {
		return nil, untrusted(invalidSecurity, "The message or its Security header is not valid", err)
	}
	r := &request{}
	parts, err := s.elements(r, m, action)
	if err != nil {
		return nil, err
	}
	if err := m.Fresh(s.o.Now(), s.o.Skew); err != nil {
		return nil, failed(messageExpired, "The Timestamp of the message is missing or not valid at this time", err)
	}
	if m.HasUser {
		r.password = &login.Password{User: m.User, Secret: m.Password}
	}
	if err := s.signature(r, m); err != nil {
		return nil, err
	}
	return r, s.tokens(r, parts)
}

// signature verifies the signature of the message. The key is that of the token in the header, or
// otherwise of the certificate.
func (s *Service) signature(r *request, m *saml.Message) (err error) {
	if !m.Signed() {
		if m.Certificate != nil || !m.Assertion.IsZero() {
			return failed(invalidSecurity, "A message with a certificate or a token must be signed by its key", nil)
		}
		return nil
	}
	switch {
	case !m.Assertion.IsZero() && (m.Certificate != nil || m.HasUser):
		return failed(invalidSecurity, "The message has a token and another credential", nil)
	case !m.Assertion.IsZero():
		if r.token, err = s.verify(m.Assertion); err != nil {
			return err
		}
		if r.token.Bearer() {
			return failed(invalidSecurityToken, "A bearer token does not prove who sends it", nil)
		}
		r.certificate = r.token.Key
	case m.Certificate != nil:
		r.certificate = m.Certificate
	default:
		return failed(invalidSecurity, "The message has a signature, but no certificate and no token", nil)
	}
	if r.proof, err = m.Verify(r.certificate.PublicKey); err != nil {
		return untrusted(failedCheck, "The signature of the message is not valid", err)
	}
	return nil
}

// verify verifies a token of this service.
func (s *Service) verify(e xmlsig.Element) (*saml.Assertion, error) {
	a, _, err := s.verifier.Verify(e)
	switch {
	case errors.Is(err, saml.ErrTime):
		return nil, failed(invalidSecurityToken, "The token has expired or is not valid yet", err)
	case err != nil:
		return nil, untrusted(invalidSecurityToken, "The token is not valid", err)
	}
	return a, nil
}

// harmless are elements that ask for something that every token has, or that say nothing about it.
var harmless = map[string]bool{
	"SignatureAlgorithm": true, "CanonicalizationAlgorithm": true, "KeySize": true, "SignWith": true,
	"EncryptionAlgorithm": true, "EncryptWith": true, "ComputedKeyAlgorithm": true,
}

// elements reads the elements of the request, and returns those with tokens. An element that is not known
// is refused: the client would get another token than it asked for.
func (s *Service) elements(r *request, m *saml.Message, action string) (map[string]xmlsig.Element, error) {
	parts, ok := m.Operation.Children()
	if !ok || !m.Operation.Is(nsTrust, "RequestSecurityToken") {
		return nil, malformed("want a RequestSecurityToken of WS-Trust 1.3")
	}
	all := map[string]xmlsig.Element{}
	for _, p := range parts {
		name := p.Name()
		if !p.Is(nsTrust, name) && !(name == "ActAs" && p.Is(nsTrust14, name)) {
			return nil, malformed("an element of another namespace")
		}
		if _, repeated := all[name]; repeated {
			return nil, malformed("a repeated element")
		}
		all[name] = p
		if harmless[name] {
			continue
		}
		switch name {
		case "RequestType", "TokenType", "KeyType", "Lifetime", "Renewing", "Delegatable", "UseKey", "ActAs",
			"RenewTarget", "ValidateTarget":
		default:
			return nil, malformed("an element that is not supported")
		}
	}
	return all, s.fields(r, m, action, all)
}

// fields reads the elements without tokens.
func (s *Service) fields(r *request, m *saml.Message, action string, all map[string]xmlsig.Element) (err error) {
	kind, ok := strings.CutPrefix(text(all["RequestType"]), nsTrust+"/")
	switch kind {
	case kindIssue, kindRenew, kindValidate:
	default:
		return malformed("a RequestType that is not supported")
	}
	if strings.Trim(action, `"`) != nsTrust+"/RST/"+kind || !ok {
		return malformed("SOAPAction and RequestType don't agree")
	}
	r.kind = kind
	for name, of := range map[string]string{"ActAs": kindIssue, "RenewTarget": kindRenew,
		"ValidateTarget": kindValidate} {
		if e := all[name]; !e.IsZero() && kind != of || e.IsZero() && kind == of && name != "ActAs" {
			return malformed("a token is missing, or one too many")
		}
	}
	if t := text(all["TokenType"]); kind != kindValidate && t != "" && t != nsSAML {
		return malformed("tokens of SAML 2.0 only")
	}
	switch strings.TrimPrefix(text(all["KeyType"]), nsTrust+"/") {
	case "":
		r.bearer = !m.Signed()
	case "Bearer":
		r.bearer = true
	case "PublicKey":
	default:
		return malformed("a KeyType that is not supported")
	}
	if used := all["UseKey"].Attribute("", "Sig"); used != "" && m.SignatureID != "" && used != m.SignatureID {
		return malformed("UseKey does not name the signature of the message")
	}
	r.renew = flag(all["Renewing"].Attribute("", "Allow"), !all["Renewing"].IsZero())
	r.delegate = flag(text(all["Delegatable"]), false)
	r.lifetime, err = s.lifetime(all["Lifetime"])
	return err
}

// text returns the text of an element without white space around it. It is "" if there is no element.
func text(e xmlsig.Element) string {
	s, _ := e.Text()
	return strings.TrimSpace(s)
}

// flag reads a boolean of XML Schema.
func flag(s string, missing bool) bool {
	if s = strings.TrimSpace(s); s == "" {
		return missing
	}
	return s == "true" || s == "1"
}

// maxDelay is the maximum time between the creation of a request and its arrival.
const maxDelay = time.Minute

// lifetime returns the life that the client asks for. It must begin about now, and its length counts:
// the clocks of client and server differ.
func (s *Service) lifetime(e xmlsig.Element) (time.Duration, error) {
	if e.IsZero() {
		return 0, nil
	}
	var at [2]time.Time
	parts, _ := e.Children()
	for _, p := range parts {
		for i, name := range []string{"Created", "Expires"} {
			if !p.Is(nsUtility, name) {
				continue
			}
			t, err := time.Parse(time.RFC3339Nano, text(p))
			if err != nil || !at[i].IsZero() {
				return 0, malformed("a malformed Lifetime")
			}
			at[i] = t
		}
	}
	switch {
	case at[1].IsZero() && at[0].IsZero():
		return 0, nil
	case at[1].IsZero() || at[0].IsZero():
		return 0, malformed("a Lifetime needs Created and Expires")
	case !at[0].Before(at[1]):
		return 0, failed(invalidTimeRange, "The Lifetime ends before it begins", nil)
	case at[0].Sub(s.o.Now()).Abs() > s.o.Skew+maxDelay:
		return 0, failed(invalidTimeRange, "The Lifetime does not begin now", nil)
	}
	return at[1].Sub(at[0]), nil
}

// tokens verifies the tokens in the request.
func (s *Service) tokens(r *request, all map[string]xmlsig.Element) (err error) {
	if e := all["ActAs"]; !e.IsZero() {
		if r.actAs, err = s.inside(e); err != nil {
			return err
		}
	}
	switch r.kind {
	case kindRenew:
		r.target, err = s.inside(all["RenewTarget"])
		return err
	case kindValidate:
		r.target, r.targetErr = s.inside(all["ValidateTarget"])
	}
	return nil
}

// inside verifies the one token inside an element.
func (s *Service) inside(e xmlsig.Element) (*saml.Assertion, error) {
	parts, ok := e.Children()
	if !ok || len(parts) != 1 {
		return nil, malformed("an element for a token must contain one token and nothing else")
	}
	return s.verify(parts[0])
}

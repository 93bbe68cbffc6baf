package saml

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/xmlsig"
)

// NewID returns a random id for an assertion.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return "_" + hex.EncodeToString(b[:])
}

// Sign makes the token of the assertion. It has the form of vCenter's own tokens.
//
// Clients of vCenter, such as govmomi, sign requests that contain a token over their own idea of the
// token's canonical form. So the elements, their order, and their prefixes must be exactly these.
// Nothing may be added: no audience, no restriction to one use, no end of the session, no recipient.
// Sign ignores OneTimeUse and SessionEnd.
func (a *Assertion) Sign(s xmlsig.Signer) ([]byte, error) {
	switch {
	case len(a.Groups) > MaxGroups:
		return nil, fmt.Errorf("make token: the subject has more than %d groups", MaxGroups)
	case a.Subject.IsZero() || a.Subject.Domain == "" || a.ID == "" || a.Issuer == "" || a.Context == "":
		return nil, fmt.Errorf("make token: the assertion is incomplete")
	}
	w := &writer{}
	w.open("saml2:Assertion", "xmlns:saml2", nsAssertion, "xmlns:xs", nsSchema, "xmlns:xsi", nsInstance,
		"ID", a.ID, "IssueInstant", instant(a.Issued), "Version", "2.0")
	w.leaf("saml2:Issuer", a.Issuer, "Format", formatEntity)
	a.writeSubject(w)
	prefixes := a.writeConditions(w)
	authentication := []string{"AuthnInstant", instant(a.Issued)}
	if !a.SessionEnd.IsZero() {
		authentication = append(authentication, "SessionNotOnOrAfter", instant(a.SessionEnd))
	}
	w.open("saml2:AuthnStatement", authentication...)
	w.open("saml2:AuthnContext")
	w.leaf("saml2:AuthnContextClassRef", a.Context)
	w.close("saml2:AuthnContext", "saml2:AuthnStatement")
	a.writeAttributes(w)
	w.close("saml2:Assertion")
	token, err := s.SignEnveloped([]byte(w.String()), prefixes)
	if err != nil {
		return nil, fmt.Errorf("make token: %w", err)
	}
	return token, nil
}

func (a *Assertion) writeSubject(w *writer) {
	w.open("saml2:Subject")
	w.leaf("saml2:NameID", upn(a.Subject), "Format", formatUPN)
	if a.Key == nil {
		w.open("saml2:SubjectConfirmation", "Method", methodBearer)
		w.leaf("saml2:SubjectConfirmationData", "", "NotOnOrAfter", instant(a.NotOnOrAfter))
	} else {
		w.open("saml2:SubjectConfirmation", "Method", methodKey)
		if !a.Holder.IsZero() {
			w.leaf("saml2:NameID", upn(a.Holder), "Format", formatUPN)
		}
		w.open("saml2:SubjectConfirmationData", "xsi:type", "saml2:KeyInfoConfirmationDataType")
		w.open("ds:KeyInfo", "xmlns:ds", nsSignature)
		w.open("ds:X509Data")
		w.leaf("ds:X509Certificate", base64.StdEncoding.EncodeToString(a.Key.Raw))
		w.close("ds:X509Data", "ds:KeyInfo", "saml2:SubjectConfirmationData")
	}
	w.close("saml2:SubjectConfirmation", "saml2:Subject")
}

// writeConditions returns the prefixes that the signature must cover because only values use them.
func (a *Assertion) writeConditions(w *writer) (prefixes string) {
	prefixes = "xs xsi"
	w.open("saml2:Conditions", "NotBefore", instant(a.NotBefore), "NotOnOrAfter", instant(a.NotOnOrAfter))
	if a.Delegations != Unlimited {
		w.leaf("saml2:ProxyRestriction", "", "Count", strconv.Itoa(a.Delegations))
	}
	if a.Renewable {
		prefixes = "rsa " + prefixes
		w.leaf("saml2:Condition", "", "xmlns:rsa", nsRenewal, "Count", strconv.Itoa(a.Renewals),
			"xsi:type", "rsa:RenewRestrictionType")
	}
	for _, d := range a.Delegates {
		if !strings.HasPrefix(prefixes, "del ") {
			prefixes = "del " + prefixes
		}
		w.open("saml2:Condition", "xmlns:del", nsDelegation, "xsi:type", "del:DelegationRestrictionType")
		w.open("del:Delegate", "DelegationInstant", instant(d.At))
		w.leaf("saml2:NameID", upn(d.Name), "Format", formatUPN)
		w.close("del:Delegate", "saml2:Condition")
	}
	w.close("saml2:Conditions")
	return prefixes
}

func (a *Assertion) writeAttributes(w *writer) {
	w.open("saml2:AttributeStatement")
	if len(a.Groups) > 0 {
		groups := make([]string, len(a.Groups))
		for i, g := range a.Groups {
			groups[i] = strings.ToLower(g.Domain) + `\` + g.User
		}
		w.attribute("Groups", nameGroups, groups...)
	}
	if a.GivenName != "" {
		w.attribute("givenName", nameGiven, a.GivenName)
	}
	if a.Surname != "" {
		w.attribute("surname", nameSurname, a.Surname)
	}
	w.attribute("Subject Type", nameSolution, strconv.FormatBool(a.Solution))
	w.close("saml2:AttributeStatement")
}

func instant(t time.Time) string { return t.UTC().Format(timeForm) }

func upn(n principal.Name) string { return n.User + "@" + n.Domain }

// writer writes XML whose texts and values have their canonical form.
type writer struct{ strings.Builder }

var (
	textEscapes  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	valueEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r",
		"&#xD;")
)

// open writes a start tag. attributes are names and values in turn.
func (w *writer) open(name string, attributes ...string) {
	w.WriteString("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		w.WriteString(" " + attributes[i] + `="` + valueEscapes.Replace(attributes[i+1]) + `"`)
	}
	w.WriteString(">")
}

// close writes end tags.
func (w *writer) close(names ...string) {
	for _, n := range names {
		w.WriteString("</" + n + ">")
	}
}

// leaf writes an element with a text.
func (w *writer) leaf(name, text string, attributes ...string) {
	w.open(name, attributes...)
	w.WriteString(textEscapes.Replace(text))
	w.close(name)
}

// attribute writes an attribute of the subject. It always has a friendly name: see Sign.
func (w *writer) attribute(friendly, name string, values ...string) {
	w.open("saml2:Attribute", "FriendlyName", friendly, "Name", name, "NameFormat", formatURI)
	for _, v := range values {
		w.leaf("saml2:AttributeValue", v, "xsi:type", "xs:string")
	}
	w.close("saml2:Attribute")
}

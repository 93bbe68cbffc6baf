package saml

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/xmlsig"
)

// reader reads one assertion. domain is that of names without one.
type reader struct {
	Assertion
	domain   string
	audience [][]string // of each restriction
	end      time.Time  // of the bearer's confirmation; zero if it does not say
	start    time.Time  // likewise
}

// idForm is the form of assertions' ids. They are kept to notice a second use, so they must have some
// length.
var idForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{7,127}$`)

// cursor reads child elements in their order.
type cursor []xmlsig.Element

// children returns a cursor over the child elements.
func children(e xmlsig.Element) (cursor, error) {
	c, ok := e.Children()
	if !ok {
		return nil, bad("there is text between elements")
	}
	return c, nil
}

// take returns the next element if it has the name, otherwise the zero Element.
func (c *cursor) take(space, name string) (e xmlsig.Element) {
	if len(*c) > 0 && (*c)[0].Is(space, name) {
		e, *c = (*c)[0], (*c)[1:]
	}
	return e
}

// read reads a verified assertion, which no longer contains its signature.
func (r *reader) read(e xmlsig.Element) (err error) {
	if !e.Is(nsAssertion, "Assertion") || !e.Only("ID", "IssueInstant", "Version") || e.Attribute("",
		"Version") != "2.0" {
		return bad("want an assertion of SAML 2.0")
	}
	if r.ID = e.Attribute("", "ID"); !idForm.MatchString(r.ID) {
		return bad("the id of the assertion is too short, too long or malformed")
	}
	if r.Issued, err = parseTime(e.Attribute("", "IssueInstant")); err != nil {
		return err
	}
	parts, err := children(e)
	if err != nil {
		return err
	}
	if r.Issuer, err = text(parts.take(nsAssertion, "Issuer")); err != nil {
		return err
	}
	if err := r.subject(parts.take(nsAssertion, "Subject")); err != nil {
		return err
	}
	if err := r.conditions(parts.take(nsAssertion, "Conditions")); err != nil {
		return err
	}
	parts.take(nsAssertion, "Advice")
	for _, s := range parts {
		switch {
		case s.Is(nsAssertion, "AuthnStatement"):
			err = r.authentication(s)
		case s.Is(nsAssertion, "AttributeStatement"):
			err = r.attributes(s)
		default:
			err = bad("the assertion has an element that is not known or in another place")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// subject reads the subject. It has one confirmation: of several, each alone would do.
func (r *reader) subject(e xmlsig.Element) (err error) {
	parts, err := children(e)
	if err != nil {
		return err
	}
	if r.Subject, err = r.name(parts.take(nsAssertion, "NameID")); err != nil {
		return err
	}
	confirmation := parts.take(nsAssertion, "SubjectConfirmation")
	if confirmation.IsZero() || len(parts) > 0 || !confirmation.Only("Method") {
		return bad("the subject must have one name and one confirmation")
	}
	parts, err = children(confirmation)
	if err != nil {
		return err
	}
	if holder := parts.take(nsAssertion, "NameID"); !holder.IsZero() {
		if r.Holder, err = r.name(holder); err != nil {
			return err
		}
	}
	data := parts.take(nsAssertion, "SubjectConfirmationData")
	if len(parts) > 0 {
		return bad("the confirmation has an element that is not known")
	}
	if r.start, err = optionalTime(data.Attribute("", "NotBefore")); err != nil {
		return err
	}
	if r.end, err = optionalTime(data.Attribute("", "NotOnOrAfter")); err != nil {
		return err
	}
	content, err := children(data)
	if err != nil {
		return err
	}
	switch confirmation.Attribute("", "Method") {
	case methodBearer:
		if len(content) > 0 || r.end.IsZero() {
			return bad("the confirmation of a bearer must have an end, and nothing in it")
		}
		return nil
	case methodKey:
		return r.key(content)
	}
	return bad("the method of confirmation is not accepted")
}

// key reads the certificate of a holder-of-key token.
func (r *reader) key(content cursor) error {
	if len(content) != 1 {
		return bad("a holder-of-key token must have one key")
	}
	all, ok := xmlsig.Certificates(content[0])
	if !ok || len(all) != 1 {
		return bad("the key of a holder-of-key token must be one certificate")
	}
	r.Key = all[0]
	return nil
}

func (r *reader) conditions(e xmlsig.Element) (err error) {
	if e.IsZero() || !e.Only("NotBefore", "NotOnOrAfter") {
		return bad("the assertion must have conditions")
	}
	if r.NotBefore, err = parseTime(e.Attribute("", "NotBefore")); err != nil {
		return err
	}
	if r.NotOnOrAfter, err = parseTime(e.Attribute("", "NotOnOrAfter")); err != nil {
		return err
	}
	r.Delegations = Unlimited
	parts, err := children(e)
	if err != nil {
		return err
	}
	for _, c := range parts {
		switch {
		case c.Is(nsAssertion, "AudienceRestriction"):
			err = r.restriction(c)
		case c.Is(nsAssertion, "OneTimeUse"):
			r.OneTimeUse = true
		case c.Is(nsAssertion, "ProxyRestriction"):
			err = r.proxies(c)
		case c.Is(nsAssertion, "Condition"):
			err = r.condition(c)
		default:
			err = bad("a condition is not known")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restriction reads one restriction of the audience.
func (r *reader) restriction(e xmlsig.Element) error {
	parts, err := children(e)
	if err != nil {
		return err
	}
	var audience []string
	for _, a := range parts {
		name, err := text(a)
		if err != nil || !a.Is(nsAssertion, "Audience") {
			return bad("an audience is malformed")
		}
		audience = append(audience, name)
	}
	r.audience = append(r.audience, audience)
	return nil
}

// condition reads a condition whose type is an extension of SAML. Canonicalization may have removed
// the declaration of the type's prefix. The name of the type decides then.
func (r *reader) condition(c xmlsig.Element) error {
	prefix, name, ok := strings.Cut(c.Attribute(nsInstance, "type"), ":")
	if !ok {
		prefix, name = "", prefix
	}
	uri, known := c.Namespace(prefix)
	switch {
	case name == "RenewRestrictionType" && (!known || uri == nsRenewal):
		n, err := count(c.Attribute("", "Count"))
		if err != nil || r.Renewable {
			return bad("a restriction of renewals is repeated or has no number")
		}
		r.Renewals, r.Renewable = n, true
		return nil
	case name == "DelegationRestrictionType" && (!known || uri == nsDelegation):
		return r.delegates(c)
	}
	return bad("a condition is not known")
}

func (r *reader) delegates(c xmlsig.Element) error {
	parts, err := children(c)
	if err != nil {
		return err
	}
	for _, d := range parts {
		at, err := optionalTime(d.Attribute("", "DelegationInstant"))
		if err != nil {
			return err
		}
		inner, err := children(d)
		if err != nil {
			return err
		}
		name, err := r.name(inner.take(nsAssertion, "NameID"))
		if err != nil || !d.Is(nsDelegation, "Delegate") || len(inner) > 0 {
			return bad("a delegate is malformed")
		}
		r.Delegates = append(r.Delegates, Delegate{name, at})
	}
	return nil
}

// proxies reads how many times a token may be delegated. Of several restrictions, the strictest counts.
func (r *reader) proxies(e xmlsig.Element) error {
	number := e.Attribute("", "Count")
	if number == "" {
		return nil
	}
	n, err := count(number)
	if err == nil && (r.Delegations == Unlimited || n < r.Delegations) {
		r.Delegations = n
	}
	return err
}

// authentication reads one statement of authentication. Of several, the one whose session ends first counts:
// otherwise the order of the statements would decide, which has no meaning.
func (r *reader) authentication(e xmlsig.Element) error {
	end, err := optionalTime(e.Attribute("", "SessionNotOnOrAfter"))
	if err != nil {
		return err
	}
	if !end.IsZero() && (r.SessionEnd.IsZero() || end.Before(r.SessionEnd)) {
		r.SessionEnd = end
	}
	parts, err := children(e)
	if err != nil {
		return err
	}
	for _, p := range parts {
		inner, ok := p.Children()
		if !ok || !p.Is(nsAssertion, "AuthnContext") {
			continue // the location of the subject, which has no meaning here
		}
		for _, c := range inner {
			if c.Is(nsAssertion, "AuthnContextClassRef") {
				if r.Context, err = text(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *reader) attributes(e xmlsig.Element) error {
	parts, err := children(e)
	if err != nil {
		return err
	}
	for _, a := range parts {
		if !a.Is(nsAssertion, "Attribute") {
			return bad("an attribute is encrypted or not known")
		}
		if err := r.attribute(a); err != nil {
			return err
		}
	}
	return nil
}

// attribute reads one attribute of the subject. Other attributes are ignored.
func (r *reader) attribute(a xmlsig.Element) error {
	name := a.Attribute("", "Name")
	switch name {
	case nameGroups, nameClaims, nameMicrosoft, nameGiven, nameSurname, nameSolution:
	default:
		return nil
	}
	values, err := children(a)
	if err != nil {
		return err
	}
	for _, v := range values {
		value, err := text(v)
		if err != nil || !v.Is(nsAssertion, "AttributeValue") {
			return bad("a value of an attribute is malformed")
		}
		switch name {
		case nameGiven:
			r.GivenName = value
		case nameSurname:
			r.Surname = value
		case nameSolution:
			r.Solution = value == "true"
		default:
			g, err := principal.Parse(value, r.domain)
			if err != nil {
				return bad("a group has no valid name")
			}
			if !slices.ContainsFunc(r.Groups, func(o principal.Name) bool { return o == g }) {
				r.Groups = append(r.Groups, g)
			}
		}
	}
	return nil
}

// name reads a NameID.
func (r *reader) name(e xmlsig.Element) (principal.Name, error) {
	value, err := text(e)
	if err != nil || !e.Is(nsAssertion, "NameID") {
		return principal.Name{}, bad("a name is malformed")
	}
	n, err := principal.Parse(value, r.domain)
	if err != nil {
		return principal.Name{}, bad("a name is not that of a principal")
	}
	return n, nil
}

// text returns the text of an element, without white space around it. The text must not be empty.
func text(e xmlsig.Element) (string, error) {
	s, ok := e.Text()
	if s = strings.Trim(s, " \t\r\n"); !ok || s == "" {
		return "", bad("an element has no text, or other elements in it")
	}
	return s, nil
}

// maxCount is the largest number of renewals or delegations.
const maxCount = 1_000_000

func count(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxCount {
		return 0, bad("a number is not valid")
	}
	return int(n), nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, bad("a time is not valid")
	}
	return t.UTC(), nil
}

func optionalTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return parseTime(s)
}

package saml_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

func TestATokenIsGoodFromItsStartToItsEndWithTheSkew(t *testing.T) {
	f := newFixture(t)
	token := f.Token(t, f.Bearer(now))
	for _, c := range []struct {
		at   time.Duration
		good bool
	}{
		{-skew - time.Millisecond, false}, {-skew, true}, {0, true}, {5*time.Minute + skew - time.Millisecond, true},
		{5*time.Minute + skew, false}, {time.Hour, false},
	} {
		f.now = now.Add(c.at)
		if _, err := f.verify(token); (err == nil) != c.good || err != nil && !errors.Is(err, saml.ErrTime) {
			t.Errorf("after %v: %v", c.at, err)
		}
	}
}

// Each of the times is at an edge, or a moment beyond it. The other times are good.
func TestEachTimeOfATokenHasTheSkewAndNoMore(t *testing.T) {
	f := newFixture(t)
	const moment = time.Millisecond
	for what, c := range map[string]struct {
		edit func(*saml.Assertion)
		good bool
	}{
		"issued in the skew":    {func(a *saml.Assertion) { a.Issued = now.Add(skew) }, true},
		"issued a moment later": {func(a *saml.Assertion) { a.Issued = now.Add(skew + moment) }, false},
		"begins in the skew":    {func(a *saml.Assertion) { a.NotBefore = now.Add(skew) }, true},
		"begins a moment later": {func(a *saml.Assertion) { a.NotBefore = now.Add(skew + moment) }, false},
		"ended by the skew":     {edit: func(a *saml.Assertion) { ends(a, now.Add(-skew)) }},
		"ended a moment less":   {func(a *saml.Assertion) { ends(a, now.Add(moment-skew)) }, true},
		"ends in the year 9999": {func(a *saml.Assertion) { a.NotOnOrAfter = now.AddDate(7900, 0, 0) }, true},
		"ends when it begins":   {edit: func(a *saml.Assertion) { a.NotBefore, a.NotOnOrAfter = now, now }},
		"ends before it begins": {edit: func(a *saml.Assertion) {
			a.NotBefore, a.NotOnOrAfter = now.Add(skew/2), now
		}},
		"issued in the year 0001": {edit: func(a *saml.Assertion) { a.Issued = now.AddDate(-2000, 0, 0) }},
	} {
		a := f.Bearer(now)
		c.edit(a)
		f.verifier.BearerMax = 5 * time.Minute
		if _, err := f.verify(f.Token(t, a)); (err == nil) != c.good || err != nil && !errors.Is(err, saml.ErrTime) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The confirmation and the session have times of their own. The end of a session is exact.
	const confirmation, statement = `<saml2:SubjectConfirmationData `, `<saml2:AuthnStatement `
	const issued = `AuthnInstant="2026-03-01T12:00:00.000Z" `
	for what, c := range map[string]struct {
		element, attributes string
		good                bool
	}{
		"confirmed until the skew":      {confirmation, `NotOnOrAfter="2026-03-01T11:59:00.000Z"`, false},
		"confirmed a moment longer":     {confirmation, `NotOnOrAfter="2026-03-01T11:59:00.001Z"`, true},
		"confirmed from the skew on":    {confirmation, within(`NotBefore="2026-03-01T12:01:00Z"`), true},
		"confirmed from a moment later": {confirmation, within(`NotBefore="2026-03-01T12:01:00.001Z"`), false},
		"a session that ends now":       {statement, issued + `SessionNotOnOrAfter="2026-03-01T12:00:00Z"`, false},
		"a session that ends soon":      {statement, issued + `SessionNotOnOrAfter="2026-03-01T12:00:00.001Z"`, true},
	} {
		token := f.resigned(t, f.Bearer(now), c.element, c.attributes)
		if _, err := f.verify(token); (err == nil) != c.good || err != nil && !errors.Is(err, saml.ErrTime) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// within returns the attributes of a confirmation that lasts for five minutes.
func within(attributes string) string { return attributes + ` NotOnOrAfter="2026-03-01T12:05:00Z"` }

// ends gives the assertion an end, and a beginning before it.
func ends(a *saml.Assertion, at time.Time) {
	a.Issued, a.NotBefore, a.NotOnOrAfter = at.Add(-time.Minute), at.Add(-time.Minute), at
}

// resigned returns the token of an assertion in which an element has other attributes.
func (f *fixture) resigned(t *testing.T, a *saml.Assertion, element, attributes string) string {
	t.Helper()
	_, bare := samltest.Cut(t, f.Token(t, a), "<ds:Signature ", "</ds:Signature>")
	before, rest, ok := strings.Cut(bare, element)
	_, after, closed := strings.Cut(rest, ">")
	if !ok || !closed {
		t.Fatalf("no %s in %s", element, bare)
	}
	b, err := f.Signer.SignEnveloped([]byte(before+element+attributes+">"+after), "xs xsi")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestATokenIsGoodOnlySoLongAfterItsIssue(t *testing.T) {
	f := newFixture(t)
	f.verifier.BearerMax, f.verifier.KeyMax = time.Minute, 30*time.Minute
	bearer, key := f.Token(t, f.Bearer(now)), f.Token(t, f.HolderOfKey(now, f.client.Cert))
	for _, c := range []struct {
		token string
		at    time.Duration
		good  bool
	}{
		{bearer, time.Minute, true}, {bearer, 2 * time.Minute, false},
		{key, 30 * time.Minute, true}, {key, 31 * time.Minute, false},
	} {
		f.now = now.Add(c.at)
		a, err := f.verify(c.token)
		if (err == nil) != c.good {
			t.Errorf("after %v: %v", c.at, err)
		}
		if c.good && !a.NotOnOrAfter.Before(now.Add(c.at+skew+time.Second)) {
			t.Errorf("after %v: its end is %v", c.at, a.NotOnOrAfter)
		}
	}
}

func TestATokenIsRefusedIfItsCertificateOrItsKeysHasExpired(t *testing.T) {
	f := newFixture(t)
	f.now = f.Certificates[0].NotAfter.Add(time.Second)
	if _, err := f.verify(f.Token(t, f.Bearer(f.now))); !errors.Is(err, xmlsig.ErrInvalid) {
		t.Errorf("issuer: %v", err)
	}
	old := *f.client.Cert
	a := f.HolderOfKey(now, &old)
	f.now = now
	if _, err := f.verify(f.Token(t, a)); err != nil {
		t.Errorf("valid: %v", err)
	}
}

func TestOnlyATrustedIssuerCountsAndOnlyForItsDomain(t *testing.T) {
	f := newFixture(t)
	stranger := samltest.NewIssuer(t, "stranger", "corp.example")
	a := stranger.Bearer(now)
	if _, err := f.verify(stranger.Token(t, a)); !errors.Is(err, saml.ErrIssuer) {
		t.Errorf("unknown issuer: %v", err)
	}
	a.Issuer = f.Name
	if _, err := f.verify(stranger.Token(t, a)); !errors.Is(err, xmlsig.ErrInvalid) {
		t.Errorf("a stranger's key under a trusted name: %v", err)
	}
	second := samltest.NewIssuer(t, "second", "second.example")
	f.others = []saml.Issuer{second.Issuer}
	if _, err := f.verify(second.Token(t, second.Bearer(now))); err != nil {
		t.Errorf("second issuer: %v", err)
	}
	b := second.Bearer(now)
	b.Issuer = f.Name
	if _, err := f.verify(second.Token(t, b)); !errors.Is(err, xmlsig.ErrInvalid) {
		t.Errorf("a trusted issuer in another's name: %v", err)
	}
	for _, domain := range []string{"VSPHERE.LOCAL", "SECOND.EXAMPLE", "LOCALOS"} {
		c := f.Bearer(now)
		c.Subject.Domain = domain
		if _, err := f.verify(f.Token(t, c)); !errors.Is(err, saml.ErrIssuer) {
			t.Errorf("a subject of %s: %v", domain, err)
		}
	}
	f.verifier.Issuers = nil
	if _, err := f.verify(f.Token(t, f.Bearer(now))); !errors.Is(err, saml.ErrIssuer) {
		t.Errorf("no issuer is trusted: %v", err)
	}
}

func TestTwoKeysOfAnIssuerAreTrustedDuringAChange(t *testing.T) {
	f := newFixture(t)
	next := samltest.NewIssuer(t, "next key", "corp.example")
	next.Name = f.Name
	f.others = []saml.Issuer{next.Issuer}
	for what, i := range map[string]samltest.Issuer{"old": f.Issuer, "new": next} {
		if _, err := f.verify(i.Token(t, i.Bearer(now))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// resign changes an assertion and signs it again, as an issuer would that writes it so.
func (f *fixture) resign(t *testing.T, a *saml.Assertion, changes ...string) string {
	t.Helper()
	token := f.Token(t, a)
	_, bare := samltest.Cut(t, token, "<ds:Signature ", "</ds:Signature>")
	changed := strings.NewReplacer(changes...).Replace(bare)
	if changed == bare && len(changes) > 0 {
		t.Fatalf("nothing changed by %q", changes)
	}
	signed, err := f.Signer.SignEnveloped([]byte(changed), "xs xsi")
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

const (
	conditionsEnd = "</saml2:Conditions>"
	restricted    = "<saml2:AudienceRestriction><saml2:Audience>https://other.example</saml2:Audience>" +
		"<saml2:Audience>https://vigate.example</saml2:Audience></saml2:AudienceRestriction>"
)

func TestTheAudienceOfATokenIsThisServer(t *testing.T) {
	f := newFixture(t)
	token := f.resign(t, f.Bearer(now), conditionsEnd, restricted+conditionsEnd)
	twice := f.resign(t, f.Bearer(now), conditionsEnd, restricted+"<saml2:AudienceRestriction><saml2:Audience>"+
		"https://other.example"+
		"</saml2:Audience></saml2:AudienceRestriction>"+conditionsEnd)
	for _, c := range []struct {
		what, token, audience string
		good                  bool
	}{
		{"named", token, "https://vigate.example", true}, {"other", token, "https://vigate", false},
		{"no name configured", token, "", false}, {"not restricted", f.Token(t, f.Bearer(now)),
			"https://vigate.example", false},
		{"one of two restrictions", twice, "https://vigate.example", false},
	} {
		f.Audience = c.audience
		if _, err := f.verify(c.token); (err == nil) != c.good || err != nil && !errors.Is(err, saml.ErrAudience) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// Other issuers write tokens in other ways, within SAML.
func TestTokensOfOtherIssuersAreRead(t *testing.T) {
	f := newFixture(t)
	for what, changes := range map[string][]string{
		"one use":                 {conditionsEnd, "<saml2:OneTimeUse/>" + conditionsEnd},
		"no proxy":                {`<saml2:ProxyRestriction Count="10"></saml2:ProxyRestriction>`, ""},
		"proxy without a number":  {` Count="10"`, ""},
		"a name without a domain": {"ann@CORP.EXAMPLE", "ann"},
		"a name as in NetBIOS":    {"ann@CORP.EXAMPLE", `corp.example\ann`},
		"white space in the name": {"ann@CORP.EXAMPLE", "\n  ann@CORP.EXAMPLE\n"},
		"lines":                   {"><", ">\n<"},
		"end of the session": {"AuthnInstant=", `SessionNotOnOrAfter="2026-03-01T12:04:00Z" SessionIndex="x" ` +
			`AuthnInstant=`},
		"advice": {conditionsEnd, conditionsEnd + "<saml2:Advice>x</saml2:Advice>"},
		"groups of AD FS": {"http://rsa.com/schemas/attr-names/2009/01/GroupIdentity",
			"http://schemas.xmlsoap.org/claims/Group"},
		"an attribute more": {"<saml2:AttributeStatement>",
			`<saml2:AttributeStatement><saml2:Attribute Name="x"><saml2:AttributeValue><x/></saml2:AttributeValue><` +
				`/saml2:Attribute>`},
		"times with zones": {`NotBefore="2026-03-01T12:00:00.000Z"`, `NotBefore="2026-03-01T13:00:00.0+01:00"`},
		"place of authentication": {"<saml2:AuthnContext>", `<saml2:SubjectLocality Address="192.0.2.1"/><` +
			`saml2:AuthnContext>`},
		"recipient": {"<saml2:SubjectConfirmationData ",
			`<saml2:SubjectConfirmationData Recipient="https://x" InResponseTo="_1" `},
	} {
		a, err := f.verify(f.resign(t, f.Bearer(now), changes...))
		if err != nil || a.Subject.String() != `CORP.EXAMPLE\ann` || len(a.Groups) != 2 {
			t.Errorf("%s: %v: %+v", what, err, a)
			continue
		}
		if a.OneTimeUse != (what == "one use") || a.SessionEnd.IsZero() == (what == "end of the session") {
			t.Errorf("%s: %+v", what, a)
		}
	}
}

// An issuer may repeat a statement or a condition. In whatever order they come, the strictest counts.
func TestOfSeveralStatementsTheStrictestCounts(t *testing.T) {
	f := newFixture(t)
	statement := func(end string) string {
		if end != "" {
			end = ` SessionNotOnOrAfter="2026-03-01T` + end + `Z"`
		}
		return `<saml2:AuthnStatement AuthnInstant="2026-03-01T12:00:00Z"` + end + `></saml2:AuthnStatement>`
	}
	proxy := func(count string) string { return `<saml2:ProxyRestriction` + count + `></saml2:ProxyRestriction>` }
	for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		var statements, proxies string
		for _, i := range order {
			statements += statement([]string{"", "12:03:00", "12:20:00"}[i])
			proxies += proxy([]string{"", ` Count="3"`, ` Count="7"`}[i])
		}
		a, err := f.verify(f.resign(t, f.Bearer(now), "<saml2:AttributeStatement>",
			statements+"<saml2:AttributeStatement>", conditionsEnd, proxies+conditionsEnd))
		if err != nil {
			t.Errorf("%v: %v", order, err)
		} else if want := now.Add(3 * time.Minute); !a.SessionEnd.Equal(want) || a.Delegations != 3 {
			t.Errorf("%v: the session ends at %v, want %v; %d delegations", order, a.SessionEnd, want, a.Delegations)
		}
	}
}

// Each of these is signed by the issuer, but says something that this server can't judge.
func TestATokenOfAnotherFormIsRefusedAlthoughItIsSigned(t *testing.T) {
	f := newFixture(t)
	bearer, key := f.Bearer(now), f.HolderOfKey(now, f.client.Cert)
	confirmation := `<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"><` +
		`/saml2:SubjectConfirmation>`
	for _, c := range []struct {
		what    string
		a       *saml.Assertion
		changes []string
	}{
		{"version", bearer, []string{`Version="2.0"`, `Version="1.1"`}},
		{"short id", bearer, []string{bearer.ID, "_1"}},
		{"attribute of the assertion", bearer, []string{" Version=", ` Extra="x" Version=`}},
		{"time of issue", bearer, []string{`IssueInstant="2026`, `IssueInstant="x2026`}},
		{"no subject", bearer, []string{"<saml2:Subject>", "<saml2:Other>", "</saml2:Subject>", "</saml2:Other>"}},
		{"encrypted name", bearer, []string{"saml2:NameID", "saml2:EncryptedID"}},
		{"empty name", bearer, []string{"ann@CORP.EXAMPLE", " "}},
		{"element in the name", bearer, []string{"ann@", "ann<x/>@"}},
		{"control character in the name", bearer, []string{"ann@", "a&#x9;n@"}},
		{"two confirmations", bearer, []string{"</saml2:Subject>", confirmation + "</saml2:Subject>"}},
		{"sender vouches", bearer, []string{"cm:bearer", "cm:sender-vouches"}},
		{"a bearer without an end", bearer, []string{"<saml2:SubjectConfirmationData " +
			"NotOnOrAfter=\"2026-03-01T12:05:00.000Z\">", "<saml2:SubjectConfirmationData>"}},
		{"a bearer with a key", key, []string{"cm:holder-of-key", "cm:bearer"}},
		{"holder of key without a key", bearer, []string{"cm:bearer", "cm:holder-of-key"}},
		{"two keys", key, []string{"<ds:KeyInfo ", `<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><` +
			`/ds:KeyInfo><ds:KeyInfo `}},
		{"a key without a certificate", key, []string{"ds:X509Data", "ds:KeyValue"}},
		{"no conditions", bearer, []string{"saml2:Conditions", "saml2:Others"}},
		{"no start", bearer, []string{"NotBefore=", "Other="}},
		{"unknown condition", bearer, []string{conditionsEnd, "<saml2:Other/>" + conditionsEnd}},
		{"condition of an unknown type", bearer, []string{conditionsEnd,
			`<saml2:Condition xmlns:x="urn:x" xsi:type="x:Other"/>` + conditionsEnd}},
		{"condition without a type", bearer, []string{conditionsEnd, `<saml2:Condition/>` + conditionsEnd}},
		{"number of delegations", bearer, []string{`Count="10"`, `Count="-1"`}},
		{"unknown statement", bearer, []string{"<saml2:AuthnStatement ",
			`<saml2:AuthzDecisionStatement/><saml2:AuthnStatement `}},
		{"encrypted attribute", bearer, []string{"<saml2:AttributeStatement>",
			"<saml2:AttributeStatement><saml2:EncryptedAttribute/>"}},
		{"empty group", bearer, []string{`corp.example\Users`, ` `}},
		{"element in a group", bearer, []string{`corp.example\Users`, `<x/>`}},
	} {
		if _, err := f.verify(f.resign(t, c.a, c.changes...)); !errors.Is(err, saml.ErrForm) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// A prefix in the value of xsi:type must not mean something else than the issuer meant.
func TestTheTypeOfAConditionIsResolvedWithTheSignedNamespaces(t *testing.T) {
	f := newFixture(t)
	a := f.HolderOfKey(now, f.client.Cert)
	a.Renewable, a.Renewals = true, 7
	token := f.Token(t, a)
	if got, err := f.verify(token); err != nil || got.Renewals != 7 {
		t.Fatalf("%v: %+v", err, got)
	}
	changed := strings.Replace(token, `xmlns:rsa="http://www.rsa.com/names/2009/12/std-ext/SAML2.0"`,
		`xmlns:rsa="urn:x"`, 1)
	if _, err := f.verify(changed); changed == token || !errors.Is(err, xmlsig.ErrInvalid) {
		t.Errorf("another namespace: %v", err)
	}
	// An issuer that does not sign the declaration: vCenter's old tokens.
	if got, err := f.verify(f.resign(t, a)); err != nil || got.Renewals != 7 {
		t.Errorf("not covered: %v", err)
	}
}

func TestAWrappedAssertionIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, a := range []*saml.Assertion{f.Bearer(now), f.HolderOfKey(now, f.client.Cert)} {
		for what, document := range samltest.Wrapped(t, f.Token(t, a)) {
			if got, err := f.verify(document); err == nil {
				t.Errorf("%s: accepted for %v", what, got.Subject)
			}
		}
	}
}

// changed checks that a changed token fails or yields the same principal.
func (f *fixture) changed(t testing.TB, token []byte, want *saml.Assertion) {
	t.Helper()
	got, _, err := f.verifier.VerifyToken(token)
	if err != nil {
		return
	}
	if got.Subject != want.Subject || got.ID != want.ID || !got.NotOnOrAfter.Equal(want.NotOnOrAfter) ||
		got.Bearer() != want.Bearer() ||
		len(got.Groups) != len(want.Groups) {
		t.Errorf("accepted %q as %+v", token, got)
	}
}

func TestOneByteChangedFailsOrYieldsTheSamePrincipal(t *testing.T) {
	f := newFixture(t)
	a := f.HolderOfKey(now, f.client.Cert)
	token := []byte(f.Token(t, a))
	for i := 0; i < len(token); i += 37 {
		changed := bytes.Clone(token)
		changed[i] ^= 1
		f.changed(t, changed, a)
	}
}

// fuzzID is the id of tokens in fuzz targets, which is the same in all processes.
const fuzzID = "_0123456789abcdef"

func FuzzAChangedTokenFailsOrYieldsTheSamePrincipal(f *testing.F) {
	x := newFixture(f)
	a := x.Bearer(now)
	a.ID = fuzzID
	token := x.Token(f, a)
	f.Add([]byte(token))
	for _, w := range samltest.Wrapped(f, token) {
		f.Add([]byte(w))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		if len(document) > 32<<10 {
			return // the same time is better spent on short ones
		}
		x.changed(t, document, a)
	})
}

func TestGroupsOfOtherDomainsAreLeftOut(t *testing.T) {
	names := []principal.Name{{Domain: "CORP.EXAMPLE", User: "a"}, {Domain: "VSPHERE.LOCAL", User: "Administrators"},
		{Domain: "CORP.EXAMPLE", User: "b"}}
	if in := saml.In("corp.example", names); len(in) != 2 || in[1].User != "b" || len(names) != 3 ||
		names[1].User != "Administrators" {
		t.Errorf("%v of %v", in, names)
	}
}

// A chain is verified at the verifier's time, and the leaf must be the certificate of the key.
func TestAnAuthorityIsTrustedForItsSignerAlone(t *testing.T) {
	f := newFixture(t)
	authority, other := xmlsigtest.NewKey(t, "authority"), xmlsigtest.NewKey(t, "other")
	pool := x509.NewCertPool()
	pool.AddCert(authority.Cert)
	f.Certificates, f.Authorities, f.Issuer.Issuer.Signer = nil, pool, "sts"
	sign := func(k xmlsigtest.Key, chain ...*x509.Certificate) string {
		token, err := f.Bearer(f.now).Sign(xmlsig.Signer{Key: k.PrivateKey, Chain: chain})
		if err != nil {
			t.Fatal(err)
		}
		return string(token)
	}
	sts, host := authority.Issue(t, "sts"), authority.Issue(t, "host")
	if _, err := f.verify(sign(sts, sts.Cert, authority.Cert)); err != nil {
		t.Error(err)
	}
	for what, token := range map[string]string{
		"another name":                   sign(host, host.Cert),
		"another's key":                  sign(other, sts.Cert),
		"another authority":              sign(other, other.Issue(t, "sts").Cert),
		"the authority's own":            sign(authority, authority.Cert),
		"the leaf is not the first":      sign(sts, authority.Cert, sts.Cert),
		"a leaf beside a stranger's key": sign(other, other.Cert, sts.Cert),
	} {
		if _, err := f.verify(token); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	f.Issuer.Issuer.Signer = ""
	if _, err := f.verify(sign(sts, sts.Cert)); err == nil {
		t.Error("without the name of the signer: accepted")
	}
}

func BenchmarkVerifyToken(b *testing.B) {
	f := newFixture(b)
	token := []byte(f.Token(b, f.Bearer(now)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.verifier.VerifyToken(token); err != nil {
			b.Fatal(err)
		}
	}
}

package jwt

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

func TestATokenNamesItsUserAndGroupsInTheDomainOfItsIssuer(t *testing.T) {
	p := newProvider(t)
	claims := p.claims(map[string]any{"name": "Ann Example", "groups": []string{"ops", "dev", "ops", "a,b", "x\ny"}})
	for _, m := range []*Method{p.method(), p.method(func(i *Issuer) { i.JWKSURL = "" })} {
		for id, algorithms := range map[string][]jose.SignatureAlgorithm{"rsa": {"RS256", "PS256"}, "ec": {"ES256"},
			"ed": {"EdDSA"}} {
			for _, algorithm := range algorithms {
				token := p.sign(algorithm, id, map[string]any{"typ": "JWT"}, claims)
				g, err := m.Authenticate(t.Context(), attempt(token))
				if err != nil {
					t.Fatalf("%s: %v", algorithm, err)
				}
				who := g.Identity
				if who.Name.String() != `OIDC.EXAMPLE\ann` || who.FullName != "Ann Example" || who.Extension ||
					!slices.Equal(who.Groups, []string{`OIDC.EXAMPLE\dev`, `OIDC.EXAMPLE\ops`}) ||
					g.Scope != (session.Scope{Domain: "OIDC.EXAMPLE"}) || !g.NotAfter.IsZero() || len(g.Changes) > 0 {
					t.Errorf("%s: %+v", algorithm, g)
				}
			}
		}
	}
	if n := p.requests.Load(); n != 3 { // keys; description and keys
		t.Errorf("%d requests", n)
	}
}

func TestATokenIsGoodForManyLogins(t *testing.T) {
	p := newProvider(t)
	m, token := p.method(), p.token(nil)
	for range 3 {
		if who, err := try(t, m, token); err != nil || who != `OIDC.EXAMPLE\ann` {
			t.Errorf("%s, %v", who, err)
		}
	}
}

func TestTheTokenOfAServiceAccountOfKubernetesNamesTheAccount(t *testing.T) {
	p := newProvider(t)
	const who = "system:serviceaccount:backup:job-runner.v2"
	token := p.token(map[string]any{"sub": who, "aud": []string{"vigate"}, "nbf": p.clock.Now().Unix(),
		"kubernetes.io": map[string]any{"namespace": "backup",
			"serviceaccount": map[string]string{"name": "job-runner.v2", "uid": "1"}}})
	if got, err := try(t, p.method(), token); err != nil || got != `OIDC.EXAMPLE\`+who {
		t.Errorf("%s, %v", got, err)
	}
	longest := "system:serviceaccount:" + strings.Repeat("n", 63) + ":" + strings.Repeat("a", 253)
	if _, err := try(t, p.method(), p.token(map[string]any{"sub": longest})); err != nil {
		t.Error(err)
	}
}

func TestTheEndOfATokenEndsItsSessionIfTheIssuerSaysSo(t *testing.T) {
	p := newProvider(t)
	m := p.method(func(i *Issuer) { i.UntilTokenExpires = true })
	end := p.clock.Now().Add(time.Hour)
	g, err := m.Authenticate(t.Context(), attempt(p.token(nil)))
	if err != nil || !g.NotAfter.Equal(end) {
		t.Errorf("%v, %v", g.NotAfter, err)
	}
	if _, err := try(t, m, p.token(map[string]any{"exp": p.clock.Now().Unix()})); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a session that would end at once: %v", err)
	}
	v, err := p.method().Verify(t.Context(), secret.New(p.token(nil)))
	if err != nil || !v.NotAfter.Equal(end) || v.Identity.Name.User != "ann" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestOtherCredentialsAreNotOfThisMethod(t *testing.T) {
	p := newProvider(t)
	m, token := p.method(), p.token(nil)
	for name, c := range map[string]login.Credential{
		"a password":     login.Password{User: "ann", Secret: secret.New(token)},
		"no header":      login.Assertion{},
		"another scheme": login.Assertion{Authorization: secret.New("SIGN " + token)},
		"no scheme":      login.Assertion{Authorization: secret.New(token)},
		"a security header as well": login.Assertion{Authorization: secret.New("Bearer " + token),
			Security: secret.NewBytes([]byte("<Security/>"))},
	} {
		if _, err := m.Authenticate(t.Context(), login.Attempt{Credential: c}); !errors.Is(err, login.ErrNotMine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := login.Assertion{Authorization: secret.New("bearer  " + token + " ")}
	if _, err := m.Authenticate(t.Context(), login.Attempt{Credential: c}); err != nil || m.Challenge() != "Bearer" {
		t.Errorf("%v", err)
	}
}

// The times are those of the test's clock.
func TestClaimsThatAreNotRightAreRefused(t *testing.T) {
	p := newProvider(t)
	now := p.clock.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	groups := make([]string, maxGroups+1)
	for i := range groups {
		groups[i] = fmt.Sprint("g", i)
	}
	plain := p.method()
	for name, c := range map[string]struct {
		change map[string]any
		want   string // of the cause; empty: the token is good
	}{
		"as it is":              {nil, ""},
		"another issuer":        {map[string]any{"iss": "https://other.example"}, "not configured"},
		"a slash more":          {map[string]any{"iss": p.server.URL + "/"}, "not configured"},
		"no issuer":             {map[string]any{"iss": nil}, "not configured"},
		"issuers":               {map[string]any{"iss": []string{p.server.URL}}, "not configured"},
		"another audience":      {map[string]any{"aud": "other"}, "audience"},
		"no audience":           {map[string]any{"aud": nil}, "audience"},
		"an empty list":         {map[string]any{"aud": []string{}}, "audience"},
		"a number as audience":  {map[string]any{"aud": []any{"vigate", 1}}, "aud"},
		"an audience in a list": {map[string]any{"aud": []string{"vigate"}}, ""},
		"several audiences":     {map[string]any{"aud": []string{"vigate", "other"}}, "azp"},
		"the other's party":     {map[string]any{"aud": []string{"other", "vigate"}, "azp": "other"}, "azp"},
		"our party":             {map[string]any{"aud": []string{"other", "vigate"}, "azp": "vigate"}, ""},
		"another case":          {map[string]any{"aud": "Vigate"}, "audience"},
		"expired":               {map[string]any{"iat": at(-time.Hour), "exp": at(-time.Minute)}, "expired"},
		"expired a moment ago":  {map[string]any{"iat": at(-time.Hour), "exp": at(-59 * time.Second)}, ""},
		"no end":                {map[string]any{"exp": nil}, "exp"},
		"an end as text":        {map[string]any{"exp": fmt.Sprint(at(time.Hour))}, "exp"},
		"an end beyond numbers": {map[string]any{"exp": 1e300}, "exp"},
		"null as end":           {map[string]any{"exp": json.RawMessage("null")}, "claims"},
		"an end with fraction":  {map[string]any{"exp": float64(at(time.Hour)) + 0.5}, ""},
		"early":                 {map[string]any{"nbf": at(61 * time.Second)}, "not valid yet"},
		"early within the skew": {map[string]any{"nbf": at(60 * time.Second)}, ""},
		"early as text":         {map[string]any{"nbf": "0"}, "nbf"},
		"from tomorrow": {map[string]any{"iat": at(24 * time.Hour), "exp": at(25 * time.Hour)},
			"not valid yet"},
		"no time of issue":     {map[string]any{"iat": nil}, "iat"},
		"a negative time":      {map[string]any{"iat": -1}, "iat"},
		"no name":              {map[string]any{"sub": nil}, `"sub"`},
		"an empty name":        {map[string]any{"sub": ""}, `"sub"`},
		"a number as name":     {map[string]any{"sub": 7}, "sub"},
		"a domain in the name": {map[string]any{"sub": `VSPHERE.LOCAL\administrator`}, `"sub"`},
		"a user@domain":        {map[string]any{"sub": "administrator@vsphere.local"}, `"sub"`},
		"its own domain":       {map[string]any{"sub": "ann@oidc.example"}, `"sub"`},
		"a control character":  {map[string]any{"sub": "ann\n"}, `"sub"`},
		"a zero byte":          {map[string]any{"sub": "ann\x00"}, `"sub"`},
		"a format character":   {map[string]any{"sub": "a\u202enn"}, `"sub"`},
		"a long name":          {map[string]any{"sub": strings.Repeat("x", 512)}, `"sub"`},
		"a notice of a logout": {map[string]any{"events": map[string]any{"x": map[string]any{}}}, "event"},
		"bound to a key":       {map[string]any{"cnf": map[string]string{"jkt": "x"}}, "bound"},
		"too many groups":      {map[string]any{"groups": groups}, "groups"},
		"the most groups":      {map[string]any{"groups": groups[1:]}, ""},
		"one group":            {map[string]any{"groups": "ops"}, ""},
		"groups with a number": {map[string]any{"groups": []any{"ops", 1}}, "groups"},
		"an object of groups":  {map[string]any{"groups": map[string]string{}}, "groups"},
		"a reference to groups": {map[string]any{"_claim_names": map[string]string{"groups": "s"},
			"_claim_sources": map[string]any{"s": map[string]string{"endpoint": "https://127.0.0.1:1/"}}}, ""},
	} {
		who, err := try(t, plain, p.token(c.change))
		switch {
		case c.want == "" && (err != nil || who != `OIDC.EXAMPLE\ann`):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.Is(err, login.ErrRejected) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if n := p.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestNamesWithADomainAreOfTheIssuersDomainOrRefused(t *testing.T) {
	p := newProvider(t)
	m := p.method(func(i *Issuer) { i.UPN, i.NameClaim = true, "upn" })
	for upn, want := range map[string]string{
		"ann@oidc.example": `OIDC.EXAMPLE\ann`, "Ann@OIDC.Example": `OIDC.EXAMPLE\Ann`,
		"ann": "", "ann@other.example": "", "@oidc.example": "", "ann@": "", "a@b@oidc.example": "",
		`OIDC.EXAMPLE\ann`: "", `x\ann@oidc.example`: "",
	} {
		who, err := try(t, m, p.token(map[string]any{"upn": upn}))
		if want != "" && (err != nil || who != want) || want == "" && !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %s, %v", upn, who, err)
		}
	}
}

// encode is base64url of the text.
func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestFormsOfTokensThatReadersDisagreeAboutAreRefused(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	good := p.token(nil)
	b, err := json.Marshal(p.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	claims, parts := string(b), strings.Split(good, ".")
	other := signWith(t, newKey(t), "RS256", "rsa", nil, claims)
	if _, err := try(t, m, good); err != nil {
		t.Fatal(err)
	}
	signed := func(claims string) string { return p.sign("RS256", "rsa", nil, claims) }
	header := func(h map[string]any) string { return p.sign("RS256", "rsa", h, claims) }
	for name, token := range map[string]string{
		"nothing": "", "a word": "x", "dots": "..", "no signature": parts[0] + "." + parts[1] + ".",
		"a fourth part": good + ".x", "five parts": good + ".x.x",
		"in JSON": fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1],
			parts[2]),
		"too long":               signed(`{"a":"` + strings.Repeat("x", maxToken) + `"}`),
		"another key":            other,
		"other claims":           parts[0] + "." + encode(strings.ReplaceAll(claims, "ann", "bob")) + "." + parts[2],
		"a claim twice":          signed(strings.Replace(claims, "{", `{"sub":"bob",`, 1)),
		"a claim in two cases":   signed(strings.Replace(claims, "{", `{"Sub":"bob",`, 1)),
		"an issuer in two cases": signed(strings.Replace(claims, "{", `{"ISS":"https://a.example",`, 1)),
		"a claim twice, escaped": signed(strings.Replace(claims, "{", `{"\u0073ub":"b",`, 1)),
		"data after the claims":  signed(claims + "{}"),
		"a list":                 signed("[" + claims + "]"),
		"no JSON":                signed("x"),
		"not UTF-8":              signed(strings.Replace(claims, "{", "{\"x\":\"\xff\",", 1)),
		"many claims":            signed(manyMembers(claims)),
		"padded":                 parts[0] + "=." + parts[1] + "." + parts[2],
		"a space within":         parts[0] + ". " + parts[1] + "." + parts[2],
		"crit":                   header(map[string]any{"crit": []string{"exp"}, "exp": 1}),
		"crit of b64":            header(map[string]any{"crit": []string{"b64"}, "b64": true}),
		"compressed":             header(map[string]any{"zip": "DEF"}),
		"a logout token":         header(map[string]any{"typ": "logout+jwt"}),
		"a proof of possession":  header(map[string]any{"typ": "dpop+jwt"}),
		"a type in a list":       header(map[string]any{"typ": []string{"JWT"}}),
		"a number as key":        header(map[string]any{"kid": 1}),
		"a long key":             header(map[string]any{"kid": strings.Repeat("k", maxKeyID+1)}),
		"a header twice":         encode(`{"alg":"none","alg":"RS256","kid":"rsa"}`) + "." + parts[1] + "." + parts[2],
		"an encrypted token":     encode(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a.b.c.d",
	} {
		_, err := try(t, m, token)
		if !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), parts[2]) {
			t.Errorf("%s: the error shows the signature", name)
		}
	}
	for name, h := range map[string]map[string]any{
		"a type": {"typ": "JWT"}, "an access token": {"typ": "application/at+jwt"}, "a thumbprint": {"x5t": "x"},
	} {
		if _, err := try(t, m, header(h)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := p.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func manyMembers(claims string) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range maxMembers {
		fmt.Fprintf(&b, `"m%d":1,`, i)
	}
	return b.String() + claims[1:]
}

func TestAnAlgorithmIsNotTakenForAnother(t *testing.T) {
	p := newProvider(t)
	all, ec := p.method(), p.method(func(i *Issuer) { i.Algorithms = []string{"ES256"} })
	der, err := x509.MarshalPKIXPublicKey(anyKey()["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Split(p.token(nil), ".")
	for name, c := range map[string]struct {
		m     *Method
		token string
	}{
		"HMAC with the public key, DER": {all, signWith(t, der, "HS256", "rsa", nil, p.claims(nil))},
		"HMAC with the public key, PEM": {all, signWith(t,
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "HS256", "rsa", nil, p.claims(nil))},
		"none":                    {all, encode(`{"alg":"none"}`) + "." + good[1] + ".x"},
		"None":                    {all, encode(`{"alg":"None","kid":"rsa"}`) + "." + good[1] + "." + good[2]},
		"no algorithm":            {all, encode(`{"kid":"rsa"}`) + "." + good[1] + "." + good[2]},
		"a list of algorithms":    {all, encode(`{"kid":"rsa","alg":["RS256"]}`) + "." + good[1] + "." + good[2]},
		"another size":            {all, p.sign("RS512", "rsa", nil, p.claims(nil))},
		"not accepted":            {ec, p.token(nil)},
		"RSA with the curve's id": {ec, signWith(t, newKey(t), "RS256", "ec", nil, p.claims(nil))},
	} {
		if _, err := try(t, c.m, c.token); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := p.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestKeysThatATokenBringsAreIgnored(t *testing.T) {
	p, stranger := newProvider(t), newProvider(t)
	m := p.method()
	own := newKey(t)
	for name, h := range map[string]map[string]any{
		"jwk": {"jwk": jose.JSONWebKey{Key: own.Public(), KeyID: "rsa"}},
		"jku": {"jku": stranger.server.URL + "/keys"},
		"x5u": {"x5u": stranger.server.URL + "/keys"},
		"x5c": {"x5c": []string{base64.StdEncoding.EncodeToString(stranger.server.Certificate().Raw)}},
	} {
		if _, err := try(t, m, signWith(t, own, "RS256", "rsa", h, p.claims(nil))); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := try(t, m, p.sign("RS256", "rsa", h, p.claims(nil))); err != nil {
			t.Errorf("%s beside the issuer's own key: %v", name, err)
		}
	}
	if n := stranger.requests.Load(); n != 0 {
		t.Errorf("%d requests to the address in a token", n)
	}
}

func TestSettingsThatCannotBeUsedAreErrors(t *testing.T) {
	p := newProvider(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Issuer){
		"no address":             func(i *Issuer) { i.URL = "" },
		"no audience":            func(i *Issuer) { i.Audience = "" },
		"no domain":              func(i *Issuer) { i.Domain = "" },
		"a name as domain":       func(i *Issuer) { i.Domain = "a@b" },
		"no algorithm":           func(i *Issuer) { i.Algorithms = nil },
		"HMAC":                   func(i *Issuer) { i.Algorithms = []string{"RS256", "HS256"} },
		"none":                   func(i *Issuer) { i.Algorithms = []string{"none"} },
		"keys without TLS":       func(i *Issuer) { i.JWKSURL = "http://192.0.2.1/keys" },
		"keys in a file":         func(i *Issuer) { i.JWKSURL = "file:///keys" },
		"a password":             func(i *Issuer) { i.JWKSURL = "https://a:b@127.0.0.1/keys" },
		"discovery without TLS":  func(i *Issuer) { i.URL, i.JWKSURL = "http://localhost.example", "" },
		"a negative skew":        func(i *Issuer) { i.Skew = -1 },
		"no file of authorities": func(i *Issuer) { i.CA = "/nowhere/ca.pem" },
		"no authority":           func(i *Issuer) { i.CA = empty },
	} {
		i := p.issuer()
		edit(&i)
		if _, err := New([]Issuer{i}, nil, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := New([]Issuer{p.issuer(), p.issuer()}, nil, nil); err == nil {
		t.Error("an issuer is accepted twice")
	}
	for _, a := range Algorithms() {
		i := p.issuer()
		i.Algorithms = []string{a}
		if _, err := New([]Issuer{i}, nil, nil); err != nil {
			t.Error(err)
		}
	}
}

// Each process of a fuzzing run has keys of its own. So what is fuzzed is the change of a good token, which each
// process makes itself.
func FuzzAChangedTokenFailsOrNamesTheSamePrincipal(f *testing.F) {
	p := newProvider(f)
	m := p.method()
	good := []string{
		p.token(nil), p.sign("EdDSA", "ed", nil, p.claims(map[string]any{"aud": []string{"vigate"}})),
		p.sign("ES256", "ec", map[string]any{"typ": "JWT"}, p.claims(map[string]any{"groups": []string{"a"}})), "..",
	}
	for i, token := range good {
		f.Add(uint8(i), uint16(0), uint16(0), "")
		f.Add(uint8(i), uint16(strings.Index(token, ".")), uint16(1), ".e30.")
		f.Add(uint8(i), uint16(0), uint16(len(token)), "a.b.c")
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, put string) {
		token := good[int(which)%len(good)]
		from := min(int(at), len(token))
		token = token[:from] + put + token[min(from+int(cut), len(token)):]
		if who, err := try(t, m, token); err == nil && who != `OIDC.EXAMPLE\ann` {
			t.Errorf("%s names %s", token, who)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	p := newProvider(b)
	m := p.method()
	for id, algorithm := range map[string]jose.SignatureAlgorithm{"rsa": "RS256", "ec": "ES256"} {
		a := attempt(p.sign(algorithm, id, nil, p.claims(map[string]any{"groups": []string{"a", "b", "c"}})))
		b.Run(string(algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Authenticate(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

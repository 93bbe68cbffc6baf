package jwt

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/login"
)

// refused reports whether the login counts as a failed one.
func refused(err error) bool {
	return errors.Is(err, login.ErrRejected) || errors.Is(err, login.ErrUnconfirmed)
}

func TestTheIdOfAKeyIsOnlyCompared(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	if _, err := try(t, m, p.token(nil)); err != nil {
		t.Fatal(err)
	}
	own, zeros := newKey(t), make([]byte, 32)
	for _, id := range []string{
		"../../../../dev/null", "/dev/null", `..\..\key`, "file:///dev/null", p.server.URL + "/keys", "rsa\x00", " rsa",
		"RSA", "rsa' OR '1'='1", "$(id)", "*", "0",
	} {
		for what, token := range map[string]string{
			"HMAC with a key of zeros":   signWith(t, zeros, "HS256", id, nil, p.claims(nil)),
			"a key of the attacker":      signWith(t, own, "RS256", id, nil, p.claims(nil)),
			"the issuer's, under its id": p.sign("RS256", "rsa", map[string]any{"kid": id}, p.claims(nil)),
		} {
			if _, err := try(t, m, token); !refused(err) {
				t.Errorf("%q, %s: %v", id, what, err)
			}
		}
	}
	if n := p.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAKeyIsUsedWithItsOwnAlgorithmsOnly(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	ec := anyKey()["ec"].(*ecdsa.PrivateKey)
	good := strings.Split(p.sign("ES256", "ec", nil, p.claims(nil)), ".")
	signed := good[0] + "." + good[1]
	hash := sha256.Sum256([]byte(signed))
	der, err := ecdsa.SignASN1(rand.Reader, ec, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	ending := func(signature []byte) string { return signed + "." + base64.RawURLEncoding.EncodeToString(signature) }
	header := func(text string) string { return encode(text) + "." + good[1] + "." + good[2] }
	for what, token := range map[string]string{
		"a signature of zeros":                   ending(make([]byte, 64)),
		"a short signature":                      ending(make([]byte, 63)),
		"a long signature":                       ending(make([]byte, 65)),
		"one byte of signature":                  ending([]byte{1}),
		"a signature in DER":                     ending(der),
		"RS256 in the header of an ES256 token":  header(`{"alg":"RS256","kid":"ec"}`),
		"PS256 in the header of an ES256 token":  header(`{"alg":"PS256","kid":"rsa"}`),
		"EdDSA in the header of an ES256 token":  header(`{"alg":"EdDSA","kid":"ec"}`),
		"HS256 in the header of an ES256 token":  header(`{"alg":"HS256","kid":"ec"}`),
		"ES384 for a key of P-256":               header(`{"alg":"ES384","kid":"ec"}`),
		"es256":                                  header(`{"alg":"es256","kid":"ec"}`),
		"a space behind the algorithm":           header(`{"alg":"ES256 ","kid":"ec"}`),
		"an algorithm and another one":           header(`{"alg":"ES256","ALG":"none","kid":"ec"}`),
		"the header of another token of the key": header(`{"alg":"ES256","kid":"ec","typ":"JWT"}`),
		"RS256 signed, PS256 said": strings.Replace(p.sign("RS256", "rsa", nil, p.claims(nil)),
			encode(`{"alg":"RS256","kid":"rsa"}`), encode(`{"alg":"PS256","kid":"rsa"}`), 1),
	} {
		if _, err := try(t, m, token); !refused(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := try(t, m, strings.Join(good, ".")); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// The times are texts of JSON, to the thousandth of a second.
func TestTheTimesOfATokenHaveExactEdges(t *testing.T) {
	p := newProvider(t)
	m, strict := p.method(), p.method(func(i *Issuer) { i.UntilTokenExpires = true })
	at := func(d time.Duration) string {
		ms := p.clock.Now().Add(d).UnixMilli()
		return fmt.Sprintf("%d.%03d", ms/1000, ms%1000)
	}
	const moment = time.Millisecond
	hour := at(time.Hour)
	for _, c := range []struct {
		what, iat, nbf, exp string
		m                   *Method
		good                bool
	}{
		{"expired by the skew", at(-time.Hour), "", at(-time.Minute), m, false},
		{"a moment less", at(-time.Hour), "", at(-time.Minute + moment), m, true},
		{"expired now, if the session ends then", at(-time.Hour), "", at(0), strict, false},
		{"a moment later, if the session ends then", at(-time.Hour), "", at(moment), strict, true},
		{"valid in the skew", at(0), at(time.Minute), hour, m, true},
		{"valid a moment later", at(0), at(time.Minute + moment), hour, m, false},
		{"issued in the skew", at(time.Minute), "", hour, m, true},
		{"issued a moment later", at(time.Minute + moment), "", hour, m, false},
		{"the skew hides that it ends before it begins", at(-time.Hour), at(30 * time.Second), at(-30 * time.Second), m,
			false},
		{"the skew hides that it ends before its issue", at(30 * time.Second), "", at(-30 * time.Second), m, false},
		{"an end of the year 9999", at(0), "", "253402300799", m, true},
		{"a second later", at(0), "", "253402300800", m, false},
		{"an end with an exponent", at(0), "", "2.5e11", m, true},
		{"an end in the past with an exponent", at(-time.Hour), "", "1e3", m, false},
		{"an end that overflows", at(0), "", "1e400", m, false},
		{"an end that overflows 64 bits", at(0), "", "9223372036854775808", m, false},
		{"a negative end", at(0), "", "-253402300799", m, false},
		{"a negative zero", "-0", "-0", hour, m, true},
		{"an end in hexadecimal digits", at(0), "", "0x7fffffff", m, false},
		{"a leading zero", at(0), "", "0" + hour, m, false},
		{"no number", at(0), "", "NaN", m, false},
		{"a list", at(0), "", "[" + hour + "]", m, false},
		{"an object", at(0), "", `{"a":` + hour + "}", m, false},
		{"true", at(0), "", "true", m, false},
		{"a text", at(0), "", `"` + hour + `"`, m, false},
	} {
		claims := fmt.Sprintf(`{"iss":%q,"aud":"vigate","sub":"ann","iat":%s,"exp":%s`, p.server.URL, c.iat, c.exp)
		if c.nbf != "" {
			claims += `,"nbf":` + c.nbf
		}
		_, err := try(t, c.m, p.sign("RS256", "rsa", nil, claims+"}"))
		if c.good && err != nil || !c.good && !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestNamesAndAudiencesOfOddBytesAreRefused(t *testing.T) {
	p := newProvider(t)
	m := p.method()
	many := make([]string, maxAudiences+1)
	for i := range many {
		many[i] = "vigate"
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for what, change := range map[string]map[string]any{
		"half of a pair of surrogates": {"sub": raw(`"ann\ud800"`)},
		"another composition":          {"sub": "Jo\u0308rg"},
		"a letter that looks alike":    {"sub": "\u0430nn"}, // the first letter is Cyrillic
		"a letter of another width":    {"sub": "\uff41nn"},
		"a space behind":               {"sub": "ann "},
		"a space of no width":          {"sub": "ann\u200b"},
		"a list of names":              {"sub": []string{"ann"}},
		"an audience in a list twice":  {"aud": []string{"vigate", "vigate"}},
		"a list in a list":             {"aud": raw(`[["vigate"]]`)},
		"null beside the audience":     {"aud": raw(`["vigate",null]`)},
		"an object with the audience":  {"aud": raw(`{"0":"vigate"}`)},
		"many audiences":               {"aud": many, "azp": "vigate"},
		"a part of the audience":       {"aud": "vig"},
		"a zero byte in the audience":  {"aud": "vigate\x00"},
		"a space in the audience":      {"aud": " vigate"},
	} {
		if who, err := try(t, m, p.token(change)); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %s, %v", what, who, err)
		}
	}
	// The names of groups are left out: a group can only be missed.
	groups := raw(`["ops","\ud800","\u0430dmins x","ops ","a@b","VSPHERE.LOCAL\\Admins"]`)
	token := p.token(map[string]any{"groups": groups})
	g, err := m.Authenticate(t.Context(), attempt(token))
	if err != nil || len(g.Identity.Groups) != 1 || g.Identity.Groups[0] != `OIDC.EXAMPLE\ops` {
		t.Errorf("groups: %q, %v", g.Identity.Groups, err)
	}
}

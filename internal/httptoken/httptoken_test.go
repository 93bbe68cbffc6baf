package httptoken

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
)

func TestATokenIsTakenFromTheHeaderFirstAndFromAnyFormOfTheCookie(t *testing.T) {
	for _, c := range []struct{ header, cookie, want string }{
		{"", "", ""},
		{"h", "vmware_soap_session=c", "h"},
		{"", "vmware_soap_session=c", "c"},
		{"", `vmware_soap_session="c"`, "c"},
		{"", `vmware_soap_session="c"; Path=/; HttpOnly; Secure;`, "c"},
		{"", `a=b; vmware_soap_session="c"`, "c"},
		{"", `vmware_soap_session=c; a=b; vmware_soap_session="c"`, "c"},
		{"", `vmware_soap_session=""; vmware_soap_session="c"`, "c"},
		{"", `vmware_soap_session=; vmware-api-session-id=d`, "d"},
		{"", `xvmware_soap_session=c`, ""},
		{"", `vmware_soap_session="`, `"`},
		{"", `vmware-api-session-id=d`, "d"},
		{"", `vmware_soap_session= "c"`, "c"},
		{"", `vmware_soap_session = c ; other= x`, "c"},
		{"", "a=b;\tvmware_soap_session =\t\"c\" ", "c"},
	} {
		h := http.Header{}
		if c.header != "" {
			h.Set("vmware-api-session-id", c.header)
		}
		if c.cookie != "" {
			h.Set("Cookie", c.cookie)
		}
		if got := Token(h, Cookie, APICookie); got != c.want {
			t.Errorf("header %q, cookie %q: %q, want %q", c.header, c.cookie, got, c.want)
		}
	}
}

func TestATokenMayBeSentTwiceButNotTwoOfThem(t *testing.T) {
	for _, c := range []struct {
		header []string
		want   string
	}{
		{[]string{`"h"`}, "h"},
		{[]string{"h", "h"}, "h"},
		{[]string{"", "h"}, "h"},
		{[]string{`h, "h"`, ",h"}, "h"},
		{[]string{""}, "c"},
		{[]string{`""`, ","}, "c"},
		{[]string{"h", "x"}, ""},
		{[]string{"h,x"}, ""},
		{[]string{"h", "H"}, ""},
	} {
		h := http.Header{Header: c.header, "Cookie": {"a=b", "vmware_soap_session=c"}}
		if got := Token(h, Cookie); got != c.want {
			t.Errorf("%q: %q, want %q", c.header, got, c.want)
		}
	}
}

// The page of a neighbouring host can add a cookie for a longer path or for the domain of both hosts, to make
// the user work in the session of an attacker.
func TestOfTwoDifferentCookiesOfOneNameNoneCounts(t *testing.T) {
	for _, lines := range [][]string{
		{`vmware_soap_session="first"; vmware_soap_session="second"`},
		{`vmware_soap_session=first`, `vmware_soap_session=second`},
		{`vmware_soap_session=a; vmware_soap_session=a; vmware_soap_session=A; vmware-api-session-id=d`},
	} {
		h := http.Header{"Cookie": lines}
		if got := Token(h, Cookie, APICookie); got != "" {
			t.Errorf("%q: the token is %q", lines, got)
		}
		r := httptest.NewRequest("GET", "https://example.com/sdk", nil)
		r.Header = http.Header{"Cookie": lines, "Sec-Fetch-Site": {"cross-site"}}
		if !Foreign(r) {
			t.Errorf("%q: another origin may send them", lines)
		}
	}
	h := http.Header{"Cookie": {`vmware_cgi_ticket=a; vmware_cgi_ticket=b`}}
	if got := Value(h, TicketCookie); got != "" {
		t.Errorf("of two tickets, %q counts", got)
	}
}

func TestTheCookieIsSecureExactlyOverTLS(t *testing.T) {
	for tls, want := range map[bool]string{
		true:  `vmware_soap_session="abc"; Path=/; HttpOnly; Secure;`,
		false: `vmware_soap_session="abc"; Path=/; HttpOnly;`,
	} {
		h := http.Header{}
		SetCookie(h, "abc", tls)
		if got := h.Get("Set-Cookie"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAPageOfAnotherOriginUsesNoCookieAndChangesNothing(t *testing.T) {
	for _, c := range []struct {
		method, site, origin, cookie, token string
		foreign                             bool
	}{
		{"GET", "", "", "c", "", false},
		{"GET", "same-origin", "", "c", "", false},
		{"GET", "none", "", "c", "", false},
		{"GET", "cross-site", "", "c", "", true},
		{"GET", "same-site", "", "c", "", true},
		{"GET", "cross-site", "", "", "", false},
		{"GET", "cross-site", "", "c", "t", false},
		{"POST", "cross-site", "", "", "", true},
		{"DELETE", "cross-site", "", "", "", true},
		{"POST", "", "https://evil.example", "", "", true},
		{"POST", "", "https://example.com", "c", "", false},
		{"POST", "", "null", "c", "", true},
		{"POST", "", "", "c", "", false},
		{"POST", "", "https://EXAMPLE.com:443", "c", "", false},
		{"POST", "", "https://example.com:80", "c", "", true},
		{"POST", "Same-Origin", "", "c", "", true},
		{"POST", "same-origin", "https://evil.example", "c", "", false}, // the newer header counts
	} {
		r := httptest.NewRequest(c.method, "https://example.com/sdk", strings.NewReader(""))
		for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.origin, Header: c.token} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if c.cookie != "" {
			r.Header.Set("Cookie", Cookie+"="+c.cookie)
		}
		if got := Foreign(r); got != c.foreign {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for _, c := range []struct {
		host    string
		header  http.Header
		foreign bool
	}{
		{"Example.COM:443", http.Header{"Origin": {"https://example.com"}}, false},
		{"example.com:", http.Header{"Origin": {"https://example.com"}}, false},
		{"example.com:80", http.Header{"Origin": {"http://example.com"}}, false},
		{"example.com:80", http.Header{"Origin": {"https://example.com"}}, true},
		{"example.com:8443", http.Header{"Origin": {"https://example.com"}}, true},
		{"[::1]:443", http.Header{"Origin": {"https://[::1]"}}, false},
		{"example.com", http.Header{"Origin": {"https://example.com", "https://evil.example"}}, true},
		{"example.com", http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, true},
		{"example.com", http.Header{"Sec-Fetch-Site": {"cross-site"}, Header: {"", "t"}}, false},
		{"example.com", http.Header{"Sec-Fetch-Site": {"cross-site"}, Header: {`""`}}, true},
	} {
		r := httptest.NewRequest("POST", "https://"+c.host+"/sdk", nil)
		r.Host, r.Header = c.host, c.header
		if got := Foreign(r); got != c.foreign {
			t.Errorf("%s %v: %v", c.host, c.header, got)
		}
	}
}

func FuzzCookie(f *testing.F) {
	for _, s := range []string{`vmware_soap_session="a"`, `a=b; vmware_soap_session=c; Path=/`, `vmware_soap_session`,
		`=;;"`, `vmware_soap_session="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsFunc(line, unicode.IsControl) {
			return // no header can contain these characters
		}
		got := Value(http.Header{"Cookie": {line}}, Cookie)
		if strings.Contains(got, ";") || !strings.Contains(line, got) {
			t.Fatalf("%q from %q", got, line)
		}
		// If the standard library finds a value, it must be the same.
		r := http.Request{Header: http.Header{"Cookie": {line}}}
		if c, err := r.Cookie(Cookie); err == nil && c.Value != got && strings.Count(line, Cookie) == 1 {
			t.Fatalf("%q, by net/http %q", got, c.Value)
		}
	})
}

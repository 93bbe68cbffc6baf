package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/peer"
)

func TestForwardedForIsTheRightmostUntrustedAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	many := func(n int, s string) string { return strings.Repeat(s+",", n-1) + s }
	for name, tt := range map[string]struct {
		headers []string
		want    string // empty if the header names no address
	}{
		"no header":                        {nil, ""},
		"one":                              {[]string{"192.0.2.1"}, "192.0.2.1"},
		"the client's own claims":          {[]string{"1.2.3.4, 192.0.2.1"}, "192.0.2.1"},
		"through two proxies":              {[]string{"192.0.2.1, 10.1.1.1"}, "192.0.2.1"},
		"a trusted address claimed":        {[]string{"10.9.9.9, 192.0.2.1, 10.1.1.1"}, "192.0.2.1"},
		"two headers":                      {[]string{"1.2.3.4", "192.0.2.1,10.1.1.1"}, "192.0.2.1"},
		"two headers, the left one counts": {[]string{"1.2.3.4,192.0.2.1", "10.1.1.1"}, "192.0.2.1"},
		"all trusted":                      {[]string{"10.2.2.2, 10.1.1.1"}, "10.2.2.2"},
		"IPv6":                             {[]string{"2001:DB9::1, 2001:db8::2"}, "2001:db9::1"},
		"with ports":                       {[]string{"192.0.2.1:555, [2001:db8::2]:443"}, "192.0.2.1"},
		"IPv6 in brackets":                 {[]string{"[2001:DB9::1],[2001:db8::2]:443"}, "2001:db9::1"},
		"IPv4 in IPv6":                     {[]string{"::ffff:192.0.2.1, ::ffff:10.0.0.1"}, "192.0.2.1"},
		"rubbish that the client wrote":    {[]string{"<script>, , 192.0.2.1"}, "192.0.2.1"},
		"a flood that the client wrote":    {[]string{many(5000, "x") + ",192.0.2.1"}, "192.0.2.1"},
		"rubbish":                          {[]string{"unknown"}, ""},
		"rubbish on the way":               {[]string{"192.0.2.1, unknown, 10.1.1.1"}, ""},
		"empty":                            {[]string{""}, ""},
		"an empty element":                 {[]string{"192.0.2.1,"}, ""},
		"a zone":                           {[]string{"fe80::1%eth0"}, ""},
		"unspecified":                      {[]string{"0.0.0.0"}, ""},
		"as many as may be":                {[]string{many(maxForwarded, "10.0.0.1")}, "10.0.0.1"},
		"one too many":                     {[]string{many(maxForwarded+1, "10.0.0.1")}, ""},
	} {
		got, ok := forwardedFor(tt.headers, proxies)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, got, ok, tt.want)
		}
	}
}

func TestUserAgentsAreCutAndCannotForgeALogLine(t *testing.T) {
	for in, want := range map[string]string{
		"govc/0.55":             "govc/0.55",
		"a\nb\r\tc\x00\x7f":     "abc",
		"a\u2028b\u202ec\u200b": "abc",
		"a\xffb\xc3":            "ab",
		"Ärger/1.0":             "Ärger/1.0",
	} {
		if got := cleanText(in, maxUserAgent); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := cleanText(strings.Repeat("ä", 400), maxUserAgent); len(got) != 512 {
		t.Errorf("%d bytes", len(got))
	}
	if got := cleanText("x"+strings.Repeat("ä", 400), maxUserAgent); len(got) != 511 || !utf8.ValidString(got) {
		t.Errorf("%d bytes, a character is cut", len(got))
	}
}

func TestTrustedProxiesNameTheClient(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	_, body := r.get("plain", "/", http.Header{"X-Forwarded-For": {"203.0.113.9, 198.51.100.4"}})
	if !strings.HasPrefix(body, "198.51.100.4 local=false") {
		t.Errorf("got %q", body)
	}
	if _, body = r.get("plain", "/", nil); !strings.HasPrefix(body, "127.0.0.1 local=false") {
		t.Errorf("a request of the proxy itself is %q", body)
	}
}

func TestTrustedProxiesNameTheSchemeThatTheClientUsed(t *testing.T) {
	scheme := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := peer.From(r.Context())
		fmt.Fprint(w, p.Scheme(), p.TLS)
	})
	trusted := start(t, Config{Handler: scheme, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	others := start(t, Config{Handler: scheme})
	for _, tt := range []struct {
		running *running
		proto   string
		want    string
	}{
		{trusted, "https", "httpsfalse"}, {trusted, "HTTPS", "httpsfalse"}, {trusted, "http", "httpfalse"},
		{trusted, "", "httpfalse"}, {others, "https", "httpfalse"},
	} {
		if _, body := tt.running.get("plain", "/", http.Header{"X-Forwarded-Proto": {tt.proto}}); body != tt.want {
			t.Errorf("%q became %s, want %s", tt.proto, body, tt.want)
		}
	}
}

func TestAForwardingHeaderFromAnybodyElseTellsNothingButThatItWasRelayed(t *testing.T) {
	r := start(t, Config{Handler: tellPeer})
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"} {
		_, body := r.get("plain", "/", http.Header{name: {"203.0.113.9"}})
		if !strings.HasPrefix(body, "127.0.0.1 local=false") {
			t.Errorf("%s: got %q", name, body)
		}
	}
}

func FuzzForwardedForGivesAnAddressOrNothing(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1", "::1")
	f.Add(",,,", "[::1]:80")
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, a, b string) {
		got, ok := forwardedFor([]string{a, b}, proxies)
		if !ok {
			return
		}
		ip, err := netip.ParseAddr(got)
		if err != nil || ip.Zone() != "" {
			t.Fatalf("%q, %q gave %q", a, b, got)
		}
	})
}

func FuzzCleanTextIsShortValidAndPlain(f *testing.F) {
	f.Add("a\n\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanText(s, 64)
		if len(got) > 64 || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\u2028") {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

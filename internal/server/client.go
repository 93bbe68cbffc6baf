package server

import (
	"net/http"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/peer"
)

const (
	maxUserAgent = 512
	// maxForwarded is the maximum number of proxies that a request may have passed.
	maxForwarded = 32
)

// peerOf returns the client of r, whose connection has the origin o.
func peerOf(r *http.Request, o origin, proxies []netip.Prefix) peer.Peer {
	p := peer.Peer{
		Address:   o.address,
		Local:     o.local,
		UnixUID:   o.uid,
		UserAgent: cleanText(r.UserAgent(), maxUserAgent),
	}
	if r.TLS != nil {
		p.TLS = true
		p.Certificates = r.TLS.PeerCertificates
	}
	if o.proxy {
		p.ProxyTLS = strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
		if client, ok := forwardedFor(r.Header["X-Forwarded-For"], proxies); ok {
			p.Address = client
		}
	}
	// Behind an unconfigured relay on this machine every client would appear to be local. Most
	// relays add a header that reveals them.
	if p.Local && relayed(r.Header) {
		p.Local, p.UnixUID = false, nil
	}
	return p
}

func relayed(h http.Header) bool {
	for _, name := range [...]string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// forwardedFor returns the rightmost address that is not a trusted proxy's. Each proxy appends the
// address that it received the request from, so everything to the left of the result is only the
// client's claim and is ignored. If all addresses are trusted proxies, it returns the leftmost,
// which is the most distant proxy. ok is false if an element that must be read is malformed or if
// there are too many.
func forwardedFor(headers []string, proxies []netip.Prefix) (string, bool) {
	furthest, seen := "", 0
	for i := len(headers) - 1; i >= 0; i-- {
		rest := headers[i]
		for more := true; more; {
			var element string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, element = rest[:comma], rest[comma+1:]
			} else {
				rest, element, more = "", rest, false
			}
			ip, ok := forwardedAddress(element)
			if seen++; !ok || seen > maxForwarded {
				return "", false
			}
			if furthest = ip.String(); !contains(proxies, ip) {
				return furthest, true
			}
		}
	}
	return furthest, seen > 0
}

// forwardedAddress parses an address. Some proxies add a port or the brackets of IPv6.
func forwardedAddress(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	bare := s
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		bare = s[1 : n-1]
	}
	ip, err := netip.ParseAddr(bare)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		ip = withPort.Addr()
	}
	if ip.Zone() != "" || ip.IsUnspecified() {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}

// cleanText cuts s to the limit in bytes and removes what could forge or disguise a log line:
// control and format characters, line separators, and bytes that are not UTF-8.
func cleanText(s string, limit int) string {
	if len(s) <= limit && plainASCII(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError {
			// A real U+FFFD is removed, too: it means that a character was lost earlier.
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > limit || i > 8*limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

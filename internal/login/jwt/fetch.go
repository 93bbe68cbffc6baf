package jwt

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/trust"
)

const (
	fetchTime    = 5 * time.Second // of one request
	maxAnswer    = 256 << 10       // bytes of a set of keys or a description
	maxHeader    = 32 << 10        // bytes of the header of an answer
	discoverTime = 24 * time.Hour  // how long the address of the keys is kept
)

// source reads the keys of one issuer from its server. Only one caller at a time uses it.
type source struct {
	issuer string
	url    string // of the keys; empty: to be discovered
	ca     string // file
	now    func() time.Time
	time   time.Duration // of one request

	found   string // the address that was discovered; empty: none, or it failed
	foundAt time.Time
}

// fetch reads the keys.
func (s *source) fetch(ctx context.Context) ([]key, error) {
	client, err := newHTTPClient(s.ca, s.time)
	if err != nil {
		return nil, err
	}
	address, err := s.address(ctx, client)
	if err != nil {
		return nil, err
	}
	b, err := get(ctx, client, address)
	if err == nil {
		var keys []key
		if keys, err = readKeys(b); err == nil {
			return keys, nil
		}
	}
	s.found = "" // it may have moved
	return nil, fmt.Errorf("read keys from %s: %w", address, err)
}

// newHTTPClient returns a client for the server of an issuer. ca is a file, and limit the time of one request.
func newHTTPClient(ca string, limit time.Duration) (*http.Client, error) {
	roots, err := authorities(ca)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout: limit,
		// Whoever can make the issuer's server redirect does not choose our keys.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		},
	}, nil
}

// address returns the address of the keys.
func (s *source) address(ctx context.Context, client *http.Client) (string, error) {
	if s.url != "" {
		return s.url, nil
	}
	if age := s.now().Sub(s.foundAt); s.found != "" && age >= 0 && age < discoverTime {
		return s.found, nil
	}
	at := strings.TrimSuffix(s.issuer, "/") + "/.well-known/openid-configuration"
	b, err := get(ctx, client, at)
	if err != nil {
		return "", fmt.Errorf("read description of issuer at %s: %w", at, err)
	}
	var description struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(b, &description); err != nil {
		return "", fmt.Errorf("read description of issuer at %s: it is not JSON", at)
	}
	if description.Issuer != s.issuer {
		return "", fmt.Errorf("read description of issuer at %s: it is that of %.128q", at, description.Issuer)
	}
	if err := checkURL(description.Keys); err != nil {
		return "", fmt.Errorf("read description of issuer at %s: jwks_uri: %w", at, err)
	}
	s.found, s.foundAt = description.Keys, s.now()
	return s.found, nil
}

// get returns the body of the answer to a GET.
func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	w, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %.64q; redirections are not followed", w.Status)
	}
	b, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return b, nil
}

// checkURL checks an address that keys or a description are read from. Nobody may be able to change
// what is read, so it is https, or http on this machine.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("%.256q is not an https address without user and fragment", address)
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Probe reads the keys of the issuer and returns their number and the address that they were read from.
// It is for checking a configuration; the method does not need it.
func (i Issuer) Probe(ctx context.Context) (keys int, address string, err error) {
	if err := i.Check(); err != nil {
		return 0, "", err
	}
	s := &source{issuer: i.URL, url: i.JWKSURL, ca: i.CA, now: time.Now, time: fetchTime}
	found, err := s.fetch(ctx)
	return len(found), cmp.Or(s.url, s.found), err
}

// authorities reads the file of the authorities. It returns nil for an empty path, which means those of
// the system.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pool, err := trust.ReadPool(path)
	if err != nil {
		return nil, fmt.Errorf("read authorities of issuer: %w", err)
	}
	return pool, nil
}

// Package clientenv reads the environment variables that say which server a program calls, as whom, and how it
// checks the server's certificate. It is what the command line and package client have in common: both read the
// variables VIGATE_… and, if none of the first three is set, those of govc.
//
// [New] makes an [Environment] from a function that looks variables up. [ParseAddress] reads a server's URL in
// all the forms that people write. No error repeats a URL, because it may hold a password.
package clientenv

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/secret"
)

// Lookup returns the value of an environment variable, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// Environment reads the environment variables.
type Environment struct {
	lookup Lookup
	// govc tells whether the GOVC_* variables are used. They are ignored if one of VIGATE_URL,
	// VIGATE_USERNAME and VIGATE_PASSWORD is set, so that a password is never sent to a server, or
	// with a user name, that it was not meant for.
	govc bool
}

// New returns the environment that lookup reads.
func New(lookup Lookup) Environment {
	e := Environment{lookup: lookup}
	e.govc = e.Get("VIGATE_URL")+e.Get("VIGATE_USERNAME")+e.Get("VIGATE_PASSWORD") == ""
	return e
}

// Get returns the value of a variable, or "".
func (e Environment) Get(name string) string {
	value, _ := e.lookup(name)
	return value
}

// either returns the value of vigate's variable or, if that is not set and govc's are used, of govc's.
func (e Environment) either(own, govc string) string {
	if value := e.Get(own); value != "" || !e.govc {
		return value
	}
	return e.Get(govc)
}

// Address returns the server's address. It is zero if the environment names no server.
func (e Environment) Address() (Address, error) {
	raw := e.either("VIGATE_URL", "GOVC_URL")
	if raw == "" {
		return Address{}, nil
	}
	a, err := ParseAddress(raw)
	if err != nil {
		return Address{}, fmt.Errorf("VIGATE_URL or GOVC_URL: %w", err)
	}
	return a, nil
}

// User returns the user's name, or "". at is the result of Address.
func (e Environment) User(at Address) string {
	return cmp.Or(e.either("VIGATE_USERNAME", "GOVC_USERNAME"), at.User)
}

// Password returns the user's password. at is the result of Address. A password in the URL is that of the user in
// the URL, and of no other that a variable names.
func (e Environment) Password(at Address) (password string, ok bool) {
	if password := e.either("VIGATE_PASSWORD", "GOVC_PASSWORD"); password != "" {
		return password, true
	}
	if CanonicalUser(e.User(at)) != CanonicalUser(at.User) {
		return "", false
	}
	return at.Password.Reveal(), at.HasPassword
}

// Trust says how to check the server's certificate, and which certificate the client has.
type Trust struct {
	Insecure   bool
	CA         string // paths of PEM files, separated as in PATH
	Thumbprint string
	Cert, Key  string // paths of PEM files
}

// Trust returns what the environment says.
func (e Environment) Trust() (Trust, error) {
	insecure, err := parseBool(e.either("VIGATE_INSECURE", "GOVC_INSECURE"))
	if err != nil {
		return Trust{}, fmt.Errorf("VIGATE_INSECURE or GOVC_INSECURE: %w", err)
	}
	return Trust{
		Insecure: insecure, CA: e.either("VIGATE_CA", "GOVC_TLS_CA_CERTS"), Thumbprint: e.Get("VIGATE_THUMBPRINT"),
		Cert: e.either("VIGATE_CERTIFICATE", "GOVC_CERTIFICATE"),
		Key:  e.either("VIGATE_PRIVATE_KEY", "GOVC_PRIVATE_KEY"),
	}, nil
}

// Authorities reads the PEM files in CA. It returns nil if there are none.
func (t Trust) Authorities() ([]byte, error) {
	var all []byte
	for _, path := range filepath.SplitList(t.CA) {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		all = append(append(all, pem...), '\n')
	}
	return all, nil
}

// Certificate reads the client's certificate and its key. It returns nil if there is none.
func (t Trust) Certificate() (*tls.Certificate, error) {
	if t.Cert == "" && t.Key == "" {
		return nil, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("read client certificate: the certificate and its key must be set together")
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	return &pair, nil
}

// StateDir returns the directory for what commands keep, according to the XDG Base Directory Specification 0.8.
// It need not exist.
func StateDir(lookup Lookup) (string, error) {
	state, _ := lookup("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification says to ignore relative paths
		home, _ := lookup("HOME")
		if home == "" {
			var err error
			if home, err = os.UserHomeDir(); err != nil {
				return "", err
			}
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "vigate"), nil
}

// Address is a parsed server URL.
type Address struct {
	// URL has neither a path nor credentials, and a standard form: https://host:8989 or unix:///path.
	URL string
	// Socket is the path of the socket if the URL is a unix: URL.
	Socket      string
	User        string
	Password    secret.Text
	HasPassword bool // the password may be empty
}

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// ParseAddress parses a server URL. The scheme and the path are optional, as in govc. Errors don't
// repeat the URL, because it may hold a password.
func ParseAddress(raw string) (Address, error) {
	raw = strings.TrimSpace(raw)
	if !hasScheme.MatchString(raw) {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Address{}, errors.New("not a valid URL; want https://host[:port]")
	}
	a := Address{User: u.User.Username()}
	password, has := u.User.Password()
	a.Password, a.HasPassword = secret.New(password), has
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Address{}, errors.New("a query or fragment is not allowed")
	case u.Scheme == "unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return Address{}, errors.New("want unix:///path/to/the/socket")
		}
		a.URL, a.Socket = "unix://"+u.Path, u.Path
		return a, nil
	case u.Scheme != "https" && u.Scheme != "http":
		return Address{}, errors.New("want https://host[:port]")
	case u.Hostname() == "":
		return Address{}, errors.New("it has no host")
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" && path != "/sdk" {
		return Address{}, errors.New("the path must be empty or /sdk")
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	a.URL = u.Scheme + "://" + host
	return a, nil
}

// SocketURL is the URL of requests over a Unix socket. Its host is never looked up.
const SocketURL = "http://localhost"

// Transport returns the transport for a Unix socket, whose requests have SocketURL. It returns nil if the address
// is not one of a socket.
func (a Address) Transport() http.RoundTripper {
	if a.Socket == "" {
		return nil
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", a.Socket)
		},
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Exposed reports whether a password that is sent to the address can be read by others on the network.
func (a Address) Exposed() bool {
	return strings.HasPrefix(a.URL, "http:") && !isLoopback(a.URL)
}

// HasTLS reports whether the connection to the address has TLS.
func (a Address) HasTLS() bool { return strings.HasPrefix(a.URL, "https:") }

func isLoopback(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Unmap().IsLoopback()
}

func parseBool(s string) (bool, error) {
	if s == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%.20q is not a boolean", s)
	}
	return b, nil
}

// CanonicalUser returns a user name in one form for both DOMAIN\name and name@domain. A name without a
// domain stays without one.
func CanonicalUser(user string) string {
	user = strings.ToLower(user)
	if domain, name, ok := strings.Cut(user, `\`); ok {
		return name + "@" + domain
	}
	return user
}

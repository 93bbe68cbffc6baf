package command

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vigate/vigate/client"
)

func lookupEnv(name string) (string, bool) { return os.LookupEnv(name) }

// settings are the result of all flags and environment variables.
type settings struct {
	url      string // in the form under which sessions are saved: without path and credentials
	socket   string // path of the socket if the URL is a unix: URL
	user     string
	password *string // from the environment; nil if there is none or if it belongs to another user or server
	tls      client.TLS
	release  string
	timeout  time.Duration
	files    sessionFiles
}

// environment reads the environment variables.
type environment struct {
	lookup func(string) (string, bool)
	// govc tells whether the GOVC_* variables are used. They are ignored if one of VIGATE_URL,
	// VIGATE_USERNAME and VIGATE_PASSWORD is set, so that a password is never sent to a server, or
	// with a user name, that it was not meant for.
	govc bool
}

func (set *Set) environment() environment {
	e := environment{lookup: set.host.LookupEnv}
	e.govc = e.get("VIGATE_URL")+e.get("VIGATE_USERNAME")+e.get("VIGATE_PASSWORD") == ""
	return e
}

func (e environment) get(name string) string {
	value, _ := e.lookup(name)
	return value
}

func (e environment) either(own, govc string) string {
	if value := e.get(own); value != "" || !e.govc {
		return value
	}
	return e.get(govc)
}

// address is a parsed server URL.
type address struct {
	url, socket    string
	user, password string
	hasPassword    bool
}

func (set *Set) settings() (settings, error) {
	env, f := set.environment(), set.flags
	var fromEnv address
	var envErr error
	if raw := env.either("VIGATE_URL", "GOVC_URL"); raw != "" {
		fromEnv, envErr = parseAddress(raw)
	}
	at := fromEnv
	if f.url != "" {
		flag, err := parseAddress(f.url)
		if err != nil {
			return settings{}, Usage("--url: %w", err)
		}
		if flag.hasPassword {
			return settings{},
				Usage("other users of this machine can see a password in --url; use --password-stdin, " +
					"--password-file, VIGATE_PASSWORD or the prompt")
		}
		at = flag
	} else if envErr != nil {
		return settings{}, Usage("VIGATE_URL or GOVC_URL: %w", envErr)
	}
	if at.url == "" {
		return settings{}, Usage("no server is given; use --url https://host, or set VIGATE_URL or GOVC_URL")
	}
	s := settings{url: at.url, socket: at.socket, release: f.release, timeout: f.timeout}
	s.credentials(env, f, at, fromEnv)
	if err := s.loadTLS(env, f); err != nil {
		return settings{}, err
	}
	return s, s.findSessionFiles(env, f)
}

// credentials sets the user. It sets the password of the environment only if that belongs to the
// same user and server.
func (s *settings) credentials(env environment, f *flags, at, fromEnv address) {
	s.user = f.user
	if f.url != "" {
		s.user = cmp.Or(f.user, at.user)
		if fromEnv.url != "" && fromEnv.url != at.url {
			return
		}
	}
	user := cmp.Or(env.either("VIGATE_USERNAME", "GOVC_USERNAME"), fromEnv.user)
	if s.user == "" {
		s.user = user
	}
	if user != "" && canonical(user) != canonical(s.user) {
		return
	}
	if password := env.either("VIGATE_PASSWORD", "GOVC_PASSWORD"); password != "" {
		s.password = &password
	} else if fromEnv.hasPassword {
		s.password = &fromEnv.password
	}
}

// loadTLS sets how the server's certificate is checked and which client certificate is presented. A
// flag replaces the environment variables for the same setting.
func (s *settings) loadTLS(env environment, f *flags) error {
	insecure, err := parseBool(env.either("VIGATE_INSECURE", "GOVC_INSECURE"))
	if err != nil {
		return Usage("VIGATE_INSECURE or GOVC_INSECURE: %w", err)
	}
	ca, thumbprint := env.either("VIGATE_CA", "GOVC_TLS_CA_CERTS"), env.get("VIGATE_THUMBPRINT")
	if f.insecure || f.ca != "" || f.thumbprint != "" {
		insecure, ca, thumbprint = f.insecure, f.ca, f.thumbprint
	}
	cert, key := env.either("VIGATE_CERTIFICATE", "GOVC_CERTIFICATE"),
		env.either("VIGATE_PRIVATE_KEY", "GOVC_PRIVATE_KEY")
	if f.cert != "" || f.key != "" {
		cert, key = f.cert, f.key
	}
	if s.socket != "" || strings.HasPrefix(s.url, "http:") {
		if f.ca+f.thumbprint+f.cert+f.key != "" {
			return Usage("--ca, --thumbprint, --cert and --key need an https URL")
		}
		if s.socket == "" && !insecure && !isLoopback(s.url) {
			return Usage("passwords would be sent unencrypted; use https, or --insecure to allow it")
		}
		return nil
	}
	if insecure && ca != "" {
		return Usage("--insecure and --ca (or their environment variables) exclude each other")
	}
	s.tls.Insecure, s.tls.Thumbprint = insecure, thumbprint
	for _, path := range filepath.SplitList(ca) {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read CA certificates: %w", err)
		}
		s.tls.CA = append(append(s.tls.CA, pem...), '\n')
	}
	if (cert == "") != (key == "") {
		return Usage("--cert and --key must be used together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("read client certificate: %w", err)
		}
		s.tls.Certificate = &pair
	}
	return nil
}

// findSessionFiles sets where sessions are saved, according to the XDG Base Directory Specification
// 0.8.
func (s *settings) findSessionFiles(env environment, f *flags) error {
	s.files.file = cmp.Or(f.sessionFile, env.get("VIGATE_SESSION_FILE"))
	state, err := StateDir(env.lookup)
	if err != nil && s.files.file == "" {
		return Usage("there is no home directory to save sessions in; use --session-file")
	}
	s.files.dir = filepath.Join(state, "sessions")
	return nil
}

// StateDir returns the directory for what commands keep. It need not exist.
func StateDir(lookup func(string) (string, bool)) (string, error) {
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

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// parseAddress parses a server URL. The scheme and the path are optional, as in govc. Errors don't
// repeat the URL, because it may hold a password.
func parseAddress(raw string) (address, error) {
	raw = strings.TrimSpace(raw)
	if !hasScheme.MatchString(raw) {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, errors.New("not a valid URL; want https://host[:port]")
	}
	a := address{user: u.User.Username()}
	a.password, a.hasPassword = u.User.Password()
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return address{}, errors.New("a query or fragment is not allowed")
	case u.Scheme == "unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return address{}, errors.New("want unix:///path/to/the/socket")
		}
		a.url, a.socket = "unix://"+u.Path, u.Path
		return a, nil
	case u.Scheme != "https" && u.Scheme != "http":
		return address{}, errors.New("want https://host[:port]")
	case u.Hostname() == "":
		return address{}, errors.New("it has no host")
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" && path != "/sdk" {
		return address{}, errors.New("the path must be empty or /sdk")
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	a.url = u.Scheme + "://" + host
	return a, nil
}

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

// canonical returns a user name in one form for both DOMAIN\name and name@domain. A name without a
// domain stays without one.
func canonical(user string) string {
	user = strings.ToLower(user)
	if domain, name, ok := strings.Cut(user, `\`); ok {
		return name + "@" + domain
	}
	return user
}

package command

import (
	"cmp"
	"errors"
	"time"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/client/sessionfile"
	"github.com/vigate/vigate/internal/clientenv"
)

// settings are the result of all flags and environment variables.
type settings struct {
	address  clientenv.Address
	url      string // of address
	user     string
	password *string // from the environment; nil if there is none or if it belongs to another user or server
	tls      client.TLS
	release  string
	timeout  time.Duration
	files    sessionfile.Files
}

func (set *Set) settings() (settings, error) {
	env, f := clientenv.New(set.host.LookupEnv), set.flags
	fromEnv, envErr := env.Address()
	at := fromEnv
	if f.url != "" {
		flag, err := clientenv.ParseAddress(f.url)
		if err != nil {
			return settings{}, Usage("--url: %w", err)
		}
		if flag.HasPassword {
			return settings{},
				Usage("other users of this machine can see a password in --url; use --password-stdin, " +
					"--password-file, VIGATE_PASSWORD or the prompt")
		}
		at = flag
	} else if envErr != nil {
		return settings{}, Usage("%w", envErr)
	}
	if at.URL == "" {
		return settings{}, Usage("no server is given; use --url https://host, or set VIGATE_URL or GOVC_URL")
	}
	s := settings{address: at, url: at.URL, release: f.release, timeout: f.timeout}
	s.credentials(env, f, fromEnv)
	if err := s.loadTLS(env, f); err != nil {
		return settings{}, err
	}
	return s, s.findSessionFiles(set.host.LookupEnv, f)
}

// credentials sets the user. It sets the password of the environment only if that belongs to the
// same user and server.
func (s *settings) credentials(env clientenv.Environment, f *flags, fromEnv clientenv.Address) {
	s.user = f.user
	if f.url != "" {
		s.user = cmp.Or(f.user, s.address.User)
		if fromEnv.URL != "" && fromEnv.URL != s.url {
			return
		}
	}
	user := env.User(fromEnv)
	if s.user == "" {
		s.user = user
	}
	if user != "" && clientenv.CanonicalUser(user) != clientenv.CanonicalUser(s.user) {
		return
	}
	if password, ok := env.Password(fromEnv); ok {
		s.password = &password
	}
}

// loadTLS sets how the server's certificate is checked and which client certificate is presented. A
// flag replaces the environment variables for the same setting.
func (s *settings) loadTLS(env clientenv.Environment, f *flags) error {
	trust, err := env.Trust()
	if err != nil {
		return Usage("%w", err)
	}
	if f.insecure || f.ca != "" || f.thumbprint != "" {
		trust.Insecure, trust.CA, trust.Thumbprint = f.insecure, f.ca, f.thumbprint
	}
	if f.cert != "" || f.key != "" {
		trust.Cert, trust.Key = f.cert, f.key
	}
	if !s.address.HasTLS() {
		if f.ca+f.thumbprint+f.cert+f.key != "" {
			return Usage("--ca, --thumbprint, --cert and --key need an https URL")
		}
		if s.address.Exposed() && !trust.Insecure {
			return Usage("passwords would be sent unencrypted; use https, or --insecure to allow it")
		}
		return nil
	}
	if trust.Insecure && trust.CA != "" {
		return Usage("--insecure and --ca (or their environment variables) exclude each other")
	}
	if (trust.Cert == "") != (trust.Key == "") {
		return Usage("--cert and --key must be used together")
	}
	s.tls.Insecure, s.tls.Thumbprint = trust.Insecure, trust.Thumbprint
	if s.tls.CA, err = trust.Authorities(); err != nil {
		return err
	}
	s.tls.Certificate, err = trust.Certificate()
	return err
}

// findSessionFiles sets where sessions are saved.
func (s *settings) findSessionFiles(lookup clientenv.Lookup, f *flags) error {
	if f.sessionFile != "" {
		s.files = sessionfile.At(f.sessionFile)
		return nil
	}
	var err error
	if s.files, err = sessionfile.FromEnv(lookup); err != nil {
		return Usage("there is no home directory to save sessions in; use --session-file")
	}
	return nil
}

// findSaved returns the session that is saved for the user, or nil.
func (s *settings) findSaved(user string) (*sessionfile.Session, error) {
	saved, err := s.files.Find(s.url, user)
	if errors.Is(err, sessionfile.ErrOther) {
		return nil, Usage("%w; use another --session-file", err)
	}
	return saved, err
}

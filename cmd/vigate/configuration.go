package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/shared"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// inputs are what a configuration is read from: a file, the environment and flags.
type inputs struct {
	file  string
	flags []*config.FlagValue
	// partial allows that the data directory is missing, because it may be given elsewhere.
	partial bool
}

// defineKeys adds the flag of each key to the command.
func (in *inputs) defineKeys(cmd *cobra.Command) {
	for _, k := range config.Keys() {
		v := k.FlagValue()
		in.flags = append(in.flags, v)
		f := cmd.Flags().VarPF(v, k.Name, "", k.Help)
		if k.Bool() {
			f.NoOptDefVal = "true"
		}
	}
}

// path returns the path of the configuration file, or "".
func (in *inputs) path() string { return cmp.Or(in.file, os.Getenv(config.FileVariable)) }

// given returns the flags that are set.
func given(flags []*config.FlagValue) []config.Flag {
	var set []config.Flag
	for _, v := range flags {
		if f := v.Flag(); len(f.Values) > 0 {
			set = append(set, f)
		}
	}
	return set
}

// configuration is the whole content of a configuration file, with the environment and flags that override it.
type configuration struct {
	config.Effective
	identity  identity.Config
	upstreams []upstream.Config
	seen      fs.FileInfo // state of the file before it was read; nil: there is no file
}

// load reads the configuration. Its error joins all mistakes, and ends the program with the exit code for wrong
// usage. The result then has the sections as far as they could be read.
func (in *inputs) load() (configuration, error) {
	c := configuration{identity: identity.Defaults()}
	src, seen, err := readConfig(in.path())
	if err != nil {
		return c, err
	}
	c.seen = seen
	c.Effective, err = config.Read(config.Input{
		File: in.path(), Content: src, Environ: os.Environ(), Flags: given(in.flags), Partial: in.partial,
	}, c.identity.Section(in.path()), settings.Section(in.path(), &c.upstreams))
	if err != nil {
		err = command.Mistaken(err)
	}
	return c, err
}

func readConfig(path string) ([]byte, fs.FileInfo, error) {
	if path == "" {
		return nil, nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	seen, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	src, err := io.ReadAll(io.LimitReader(f, config.MaxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	return src, seen, nil
}

// check reads the configuration and the files that it names, which it only reads. So all mistakes of both are
// reported together. What is unwise about the files is logged.
func (in *inputs) check(logger *slog.Logger) (configuration, error) {
	c, err := in.load()
	var all []error
	if err != nil {
		all = command.Mistakes(err)
		if _, ok := errors.AsType[*config.Error](all[0]); !ok {
			return c, err // there is no such file
		}
	}
	all = append(all, c.files(logger)...)
	if sources, err := identity.Open(c.identity, nil, logger); err == nil {
		sources.Close()
	} else {
		all = append(all, command.Mistakes(command.Mistaken(err))...)
	}
	var sound []upstream.Config
	for _, u := range c.upstreams {
		if len(u.Check()) == 0 {
			sound = append(sound, u)
			all = append(all, c.front(u, logger)...)
		}
	}
	if _, err := openUpstreams(sound, nil, logger); err != nil {
		all = append(all, command.Mistakes(command.Mistaken(err))...)
	}
	if len(all) > 0 {
		return c, command.Mistaken(errors.Join(all...))
	}
	return c, nil
}

// files returns the mistakes in the files that keys name.
func (c configuration) files(logger *slog.Logger) []error {
	var all []error
	wrong := func(key string, err error) {
		if err != nil {
			all = append(all, &config.Error{From: c.Origin(key), Key: key, Problem: "can't be used: " + err.Error()})
		}
	}
	wrong("tls-cert", checkPair(c.TLSCert, c.TLSKey, logger))
	_, err := trust.Open(c.ClientCA, nil, time.Now, logger)
	if wrong("client-ca", err); err == nil {
		_, err = trust.Open(c.ClientCA, c.ClientCRL, time.Now, logger)
		wrong("client-crl", err)
	}
	_, err = trust.Open(c.AdminClientCA, nil, time.Now, logger)
	wrong("admin-client-ca", err)
	if c.AdminTokenFile != "" {
		_, err = trust.OpenToken(c.AdminTokenFile, time.Now, logger)
		wrong("admin-token-file", err)
	}
	// After the first start the file should be gone, and a server does not read it.
	if _, err := os.Stat(c.AdminPasswordFile); err == nil {
		if _, err := secretfile.Read(c.AdminPasswordFile, "administrator's password", logger); err != nil {
			logger.Warn("the password for the first start can't be used", "err", err)
		}
	}
	_, err = shared.Authorities(c.Etcd)
	wrong("etcd-ca", err)
	if c.Etcd.Cert != "" && c.Etcd.Key != "" {
		_, err = shared.Certificates(c.Etcd, logger)
		wrong("etcd-cert", err)
	}
	if c.Etcd.User != "" && c.Etcd.PasswordFile != "" {
		_, err = shared.Password(c.Etcd, logger)
		wrong("etcd-password-file", err)
	}
	return all
}

// checkPair reads a certificate of the server or of a front, unless one of its two files is not configured.
func checkPair(certFile, keyFile string, logger *slog.Logger) error {
	if certFile == "" || keyFile == "" {
		return nil
	}
	_, err := server.OpenCertificate(server.CertificateConfig{CertFile: certFile, KeyFile: keyFile, Logger: logger})
	return err
}

// front returns the mistakes in the files that only the front of an upstream uses.
func (c configuration) front(u upstream.Config, logger *slog.Logger) []error {
	var all []error
	if err := checkPair(u.TLSCert, u.TLSKey, logger); err != nil {
		all = append(all, u.Wrong("tls-cert", "can't be used: %v", err))
	}
	for _, d := range u.Dispense {
		_, wrong := serve.DispenserTokens(d, len(c.identity.OIDC) > 0)
		all = append(all, wrong...)
	}
	return all
}

// openUpstreams opens the upstreams, which reads the files that they name. It sends nothing. The error joins all
// mistakes.
func openUpstreams(all []upstream.Config, book *note.Book, logger *slog.Logger) ([]*upstream.Upstream, error) {
	opened, errs := make([]*upstream.Upstream, len(all)), make([]error, len(all))
	for i, c := range all {
		opened[i], errs[i] = upstream.Open(c, upstream.Options{
			Version: serve.Version, Notes: book, Logger: logger,
		})
	}
	return opened, errors.Join(errs...)
}

// keysHelp says how the keys are set, for the help of commands that read a configuration.
var keysHelp = strings.TrimSpace(`
Every flag except --config is also a key of the configuration file, in YAML:
  listen: 0.0.0.0:443
  idle-timeout: 1h
and an environment variable:
  ` + config.Prefix + `LISTEN=0.0.0.0:443
  ` + config.Prefix + `IDLE_TIMEOUT=1h
A variable overrides the file, and a flag overrides both. A variable with several
values has commas between them. ` + config.FileVariable + ` is the path of the file.`)

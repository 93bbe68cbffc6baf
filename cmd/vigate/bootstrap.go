package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/vigate/vigate/internal/config"
)

// Where the first administrator's password came from.
type passwordSource int

const (
	notNeeded passwordSource = iota // not the first start
	fromEnvironment
	fromFile
	madeUp
)

// first is what the first start made.
type first struct {
	source   passwordSource
	password string // only if made up: it is shown once
}

const passwordVariable = "VIGATE_ADMIN_PASSWORD"

// bootstrap sets up the instance and the first administrator, once in the life
// of a data directory.
func (n *node) bootstrap(ctx context.Context, cfg config.Config, t terminal) (first, error) {
	if _, err := n.Settings.EnsureInstance(ctx); err != nil {
		return first{}, err
	}
	if n.Access.Founded() {
		return first{}, nil
	}
	f, password, err := firstPassword(cfg, t)
	if err != nil {
		return first{}, err
	}
	if _, err := n.Accounts.Bootstrap(ctx, password); err != nil {
		return first{}, fmt.Errorf("make the first administrator: %w", err)
	}
	return f, nil
}

func firstPassword(cfg config.Config, t terminal) (first, []byte, error) {
	if p := t.getenv(passwordVariable); p != "" {
		return first{source: fromEnvironment}, []byte(p), nil
	}
	if cfg.AdminPasswordFile != "" {
		p, err := readPassword(cfg.AdminPasswordFile)
		return first{source: fromFile}, p, err
	}
	if !cfg.Dev && !t.isTerminal(t.out) {
		return first{}, nil, fmt.Errorf("the first start needs a password for administrator@%s: set %s or --admin-password-file, or start on a terminal to be shown one",
			cfg.DefaultDomain, passwordVariable)
	}
	p := rand.Text()
	return first{source: madeUp, password: p}, []byte(p), nil
}

// readPassword reads a password file; the one newline that editors end a file
// with is not part of the password.
func readPassword(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read administrator's password: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("read administrator's password: %w", err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return nil, errors.New("read administrator's password: the file is empty")
	}
	return b, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// announce tells the person at the terminal where the server is and how to go
// on. It is not part of the log.
func (n *node) announce(cfg config.Config, f first, t terminal) {
	admin := "administrator@" + strings.ToLower(cfg.DefaultDomain)
	if f.source == madeUp {
		fmt.Fprintf(t.out, "The administrator is %s, the password %s\nIt is shown this once.\n\n", admin, f.password)
	}
	if !cfg.Dev {
		return
	}
	url := "https://" + n.server.Addr("tls").String()
	password := "'the password'"
	switch f.source {
	case madeUp:
		password = "'" + f.password + "'"
	case fromEnvironment:
		password = `"$` + passwordVariable + `"`
	case fromFile:
		password = `"$(cat ` + cfg.AdminPasswordFile + `)"`
	}
	fmt.Fprintf(t.out, devBanner, url, cfg.Data, admin, password)
}

// devBanner takes the server's URL, the data directory, the administrator, and
// the password as a shell word.
const devBanner = `vigate serves %[1]s with its data in %[2]s

# govc
export GOVC_URL=%[1]s/sdk GOVC_USERNAME=%[3]s GOVC_PASSWORD=%[4]s GOVC_INSECURE=true
govc about && govc session.ls

# curl
curl -sk -i %[1]s/sdk/vim25/8.0.1.0/SessionManager/SessionManager/Login \
  --json "{\"userName\":\"$GOVC_USERNAME\",\"password\":\"$GOVC_PASSWORD\"}"

# vigate (uses the GOVC_ variables)
go run ./cmd/vigate login
go run ./cmd/vigate session ls

`

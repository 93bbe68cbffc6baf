package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"

	"github.com/vigate/vigate/internal/announce"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/serve/process"
)

// passwordSource is the source of the first administrator's password.
type passwordSource int

const (
	notNeeded passwordSource = iota // this is not the first start
	fromEnvironment
	fromFile
	madeUp
)

// First is the result of Bootstrap.
type First struct {
	source   passwordSource
	password secret.Text // only if generated: it is shown once
}

// PasswordVariable is the name of the environment variable for the first administrator's password.
const PasswordVariable = "VIGATE_ADMIN_PASSWORD"

// Bootstrap sets up the instance, the key of the token service, and the first administrator. It does so
// only once in the life of a data directory.
func (n *Node) Bootstrap(ctx context.Context, cfg config.Config, t Terminal) (First, error) {
	if _, err := n.Settings.EnsureInstance(ctx); err != nil {
		return First{}, err
	}
	if !n.guest {
		if err := n.signing.Ensure(ctx); err != nil {
			return First{}, err
		}
	}
	if n.Access.Founded() {
		return First{}, nil
	}
	f, password, err := firstPassword(cfg, t, n.logger)
	if err != nil {
		return First{}, err
	}
	if _, err := n.Accounts.Bootstrap(ctx, password); err != nil {
		return First{}, fmt.Errorf("make the first administrator: %w", err)
	}
	return f, nil
}

func firstPassword(cfg config.Config, t Terminal, log *slog.Logger) (First, []byte, error) {
	if p := t.Getenv(PasswordVariable); p != "" {
		return First{source: fromEnvironment}, []byte(p), nil
	}
	if cfg.AdminPasswordFile != "" {
		p, err := secretfile.Read(cfg.AdminPasswordFile, "administrator's password", log)
		return First{source: fromFile}, []byte(p.Reveal()), err
	}
	if !cfg.Dev && !t.IsTerminal(t.Out) {
		return First{}, nil,
			fmt.Errorf("the first start needs a password for administrator@%s: set %s or --admin-password-file, or "+
				"start on a terminal to be shown one",
				cfg.DefaultDomain, PasswordVariable)
	}
	p := rand.Text()
	return First{source: madeUp, password: secret.New(p)}, []byte(p), nil
}

// announce shows the person at the terminal the server's address and the next steps. This text is
// not part of the log.
func (n *Node) announce(cfg config.Config, f First, t Terminal) {
	admin := firstUser(cfg)
	if f.source == madeUp {
		fmt.Fprintf(t.Out, "The administrator is %s, the password %s\nIt is shown this once.\n\n", admin,
			f.password.Reveal())
	}
	if !cfg.Dev {
		return
	}
	url := announce.URL("https", n.Addr("tls"))
	password := "'the password'"
	switch f.source {
	case madeUp:
		password = "'" + f.password.Reveal() + "'"
	case fromEnvironment:
		password = `"$` + PasswordVariable + `"`
	case fromFile:
		password = `"$(cat ` + cfg.AdminPasswordFile + `)"`
	}
	command := os.Args[0]
	if process.IsGoRun(command) {
		command = "go run ./cmd/vigate"
	}
	fmt.Fprintf(t.Out, devBanner, url, cfg.Data, admin, password, command)
}

// devBanner is formatted with the server's URL, the data directory, the administrator, the
// password as a word of a shell command, and the command that runs this program.
const devBanner = `vigate serves %[1]s with its data in %[2]s

# govc
export GOVC_URL=%[1]s/sdk GOVC_USERNAME=%[3]s GOVC_PASSWORD=%[4]s GOVC_INSECURE=true
govc about && govc session.ls

# curl
curl -sk -i %[1]s/sdk/vim25/8.0.1.0/SessionManager/SessionManager/Login \
  --json "{\"userName\":\"$GOVC_USERNAME\",\"password\":\"$GOVC_PASSWORD\"}"

# vigate (uses the GOVC_ variables)
%[5]s login
%[5]s session ls

`

// Package token has the commands for security tokens: vigate token issue, renew, show and keys. A token is a
// SAML assertion, with which a client can log in in place of a password.
//
// [Command] makes the commands. Those for tokens call the Security Token Service of a server, also that of a
// vCenter, through govmomi's client of it. The one for keys reads and calls the managed object
// VigateTokenService of vigate's own API. Tokens are written to standard output or to files that only their owner
// can read.
package token

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/clientenv"
)

// flags are the flags of issue and renew.
type flags struct {
	lifetime    time.Duration
	file        string
	actAs       string
	renewable   bool
	delegatable bool
}

func (f *flags) define(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.lifetime, "lifetime", 5*time.Minute, "life of the token; the server may grant less")
	cmd.Flags().StringVar(&f.file, "out", "",
		"write the token to FILE, which only you can read (default: standard output)")
}

// Command returns the command token with its subcommands.
func Command(set *command.Set) *cobra.Command {
	return command.Group("token", "Issue, renew and show security tokens (SAML), and replace their keys",
		issue(set), renew(set), show(set), keys(set))
}

func issue(set *command.Set) *cobra.Command {
	var f flags
	cmd := set.Connected("issue [flags]", "Get a token for a user, or for an extension by its certificate",
		cobra.NoArgs,
		func(ctx context.Context, r *command.Run) error { return f.issue(ctx, r) })
	cmd.Long = cmd.Short + `.

With --cert and --key, the token is bound to the key: only its holder can use
it, often, until it expires. Without them it is a bearer token, which can be
used once. Without a user name, the certificate must be that of a registered
extension. With --act-as, the new token is for the subject of another token,
which must be delegatable.`
	f.define(cmd)
	cmd.Flags().BoolVar(&f.renewable, "renewable", false, "the token can be renewed (with --cert and --key)")
	cmd.Flags().BoolVar(&f.delegatable, "delegatable", false, "others can get a token for its subject with it")
	cmd.Flags().StringVar(&f.actAs, "act-as", "",
		"get a token for the subject of the token in FILE, - for standard input")
	return cmd
}

func (f *flags) issue(ctx context.Context, r *command.Run) error {
	request := sts.TokenRequest{
		Certificate: r.Certificate(), Lifetime: f.lifetime, Renewable: f.renewable, Delegatable: f.delegatable,
	}
	if r.User() != "" {
		password, err := r.Password(ctx, true)
		if err != nil {
			return err
		}
		request.Userinfo = url.UserPassword(r.User(), password)
	}
	switch {
	case request.Userinfo == nil && request.Certificate == nil:
		return command.Usage("give a user, or the certificate of an extension with --cert and --key")
	case f.actAs != "" && request.Certificate == nil:
		return command.Usage("--act-as needs --cert and --key")
	case f.actAs != "":
		token, err := r.Read("token", f.actAs)
		if err != nil {
			return err
		}
		request.ActAs, request.Token = true, strings.TrimSpace(token)
	}
	c, err := service(r)
	if err != nil {
		return err
	}
	signer, err := c.Issue(ctx, request)
	if err != nil {
		return fmt.Errorf("issue token: %w", err)
	}
	return f.write(r, signer.Token)
}

func renew(set *command.Set) *cobra.Command {
	var f flags
	cmd := set.Connected("renew FILE [flags]", "Get a newer token for the renewable token in FILE", cobra.ExactArgs(1),
		func(ctx context.Context, r *command.Run) error { return f.renew(ctx, r) })
	cmd.Long = cmd.Short + `, - for standard input.
It needs --cert and --key of the token's key.`
	f.define(cmd)
	return cmd
}

func (f *flags) renew(ctx context.Context, r *command.Run) error {
	var key *tls.Certificate
	if key = r.Certificate(); key == nil {
		return command.Usage("a token can be renewed only with its key: give --cert and --key")
	}
	token, err := r.Read("token", r.Args[0])
	if err != nil {
		return err
	}
	c, err := service(r)
	if err != nil {
		return err
	}
	signer, err := c.Renew(ctx, sts.TokenRequest{Certificate: key, Lifetime: f.lifetime,
		Token: strings.TrimSpace(token)})
	if err != nil {
		return fmt.Errorf("renew token: %w", err)
	}
	return f.write(r, signer.Token)
}

// service returns a client of the server's Security Token Service.
func service(r *command.Run) (*sts.Client, error) {
	base, err := url.Parse(r.URL())
	if err != nil || base.Host == "" {
		base = &url.URL{Scheme: "http", Host: "localhost"} // the server's socket
	}
	c := soap.NewClient(base, false).NewServiceClient(sts.Path, sts.Namespace)
	c.Client.Transport = r.Transport()
	return &sts.Client{Client: c, RoundTripper: c}, nil
}

// write writes a token.
func (f *flags) write(r *command.Run, token string) error {
	if f.file == "" {
		return r.Out.Line(token)
	}
	if err := clientenv.ReplaceFile(f.file, []byte(token+"\n")); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return nil
}

package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
)

// serviceRef names an object that only vigate has. The server's list of managers does not include it.
var serviceRef = types.ManagedObjectReference{Type: "VigateTokenService", Value: "token-service"}

// signingKey has the members of the API type VigateSigningKey.
type signingKey struct {
	Number       int64      `json:"number"`
	Thumbprint   string     `json:"thumbprint"`
	State        string     `json:"state"`
	SignsFrom    time.Time  `json:"signsFrom"`
	TrustedUntil *time.Time `json:"trustedUntil,omitempty"`
}

// replaceSigningKey is the request of ReplaceSigningKey.
type replaceSigningKey struct {
	This     types.ManagedObjectReference `json:"-"`
	Distrust bool                         `json:"distrust"`
}

// keyFlags are the flags of keys.
type keyFlags struct{ replace, distrust bool }

func keys(set *command.Set) *cobra.Command {
	var f keyFlags
	cmd := set.Connected("keys [flags]", "List the keys that sign tokens, or replace them", cobra.NoArgs,
		func(ctx context.Context, r *command.Run) error { return f.run(ctx, r) })
	cmd.Long = cmd.Short + `.

The server makes a new key every 90 days by itself. With --replace it makes one
now, which signs at once on all servers of the cluster. The other keys stop
signing. Their tokens are accepted until they expire. With --distrust, their
tokens are refused from now on: use it if somebody else may know a key, for
example after a backup was lost.

Sessions that began with a token go on. 'vigate session ls --method saml' lists
them, and 'vigate session rm --method saml' ends them.`
	cmd.Flags().BoolVar(&f.replace, "replace", false, "make a new key, which signs at once")
	cmd.Flags().BoolVar(&f.distrust, "distrust", false, "with --replace: tokens of all other keys are refused")
	return cmd
}

func (f *keyFlags) run(ctx context.Context, r *command.Run) error {
	if f.distrust && !f.replace {
		return command.Usage("--distrust needs --replace")
	}
	var list []signingKey
	var err error
	if f.replace {
		var made signingKey
		err = r.Invoke(ctx, serviceRef, "ReplaceSigningKey", &replaceSigningKey{Distrust: f.distrust}, &made)
		list = []signingKey{made}
	} else {
		err = r.Property(ctx, serviceRef, "signingKeys", &list)
	}
	switch {
	case command.IsFault[*types.InvalidType](err), command.IsFault[*types.ManagedObjectNotFound](err):
		return command.NotFound("%s does not show its keys; it is an older vigate or another kind of server", r.URL())
	case command.IsFault[*types.LimitExceeded](err):
		return command.WithExitCode(
			errors.New("too many keys are trusted; wait until some are removed, or use --distrust"), 1)
	case err != nil:
		return err
	}
	return r.Out.Show(list, func() *command.Table {
		t := &command.Table{Header: []string{"KEY", "STATE", "SIGNS FROM", "TRUSTED UNTIL", "THUMBPRINT"}}
		for _, k := range list {
			until := "-"
			if k.TrustedUntil != nil {
				until = command.Moment(*k.TrustedUntil)
			}
			t.Add(fmt.Sprint(k.Number), k.State, command.Moment(k.SignsFrom), until, k.Thumbprint)
		}
		return t
	})
}

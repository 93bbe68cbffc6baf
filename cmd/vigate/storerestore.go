package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/control"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
)

// restore is one run of the command store restore.
type restore struct {
	copier
	data  string
	store string
	keep  bool
}

func storeRestoreCommand(data *string) *cobra.Command {
	var r restore
	cmd := &cobra.Command{
		Use:   "restore (--data DIR | --store STORE) FILE",
		Short: "Verify a backup and restore it into a new store",
		Long: `Verify a backup and restore it into an empty data directory or an empty etcd
prefix. No server may run there. Run the command as the server's account. Files
that are not part of the store, such as the certificate, are not restored.

Sessions and tickets are not restored, and users must log in again, because the
backup does not know which sessions have ended since it was made. Use
--keep-sessions only to move a server: the original must not have run since the
backup started.`,
		Example:               "  vigate store restore --data /var/lib/vigate vigate.backup",
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.data = *data
			r.begin(cmd)
			if err := r.run(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("restore store: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&r.store, "store", "",
		"etcd store to restore into instead of --data: etcd://HOST:PORT[,HOST:PORT…]/PREFIX")
	cmd.Flags().BoolVar(&r.keep, "keep-sessions", false, "also restore sessions and tickets; those that have ended "+
		"since the backup are alive again")
	r.etcdFlags(cmd)
	return cmd
}

func (r *restore) target() (place, error) {
	if r.store != "" {
		return r.etcdPlace(r.data, r.store)
	}
	if r.data == "" {
		return place{}, command.Usage("--data DIR or --store STORE is required")
	}
	return place{dir: r.data}, r.noEtcd()
}

func (r *restore) run(ctx context.Context, file string) (err error) {
	target, err := r.target()
	if err != nil {
		return err
	}
	if target.dir != "" {
		// A running server is detected even if its store file was moved away.
		running, err := control.Running(ctx, target.dir)
		if err == nil && running {
			err = fmt.Errorf("a server is running on %s; stop it", target.dir)
		}
		if err != nil {
			return err
		}
	}
	if _, err := inspect(r.err, file); err != nil {
		return err
	}
	from, err := opened(bolt.Open(file, bolt.Options{Logger: r.logger, ReadOnly: true}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if !r.keep {
		r.without = []store.Kind{store.Session, store.Ticket}
	}
	report, err := r.into(ctx, from, target)
	if err != nil {
		return err
	}
	r.printResult("restored", report)
	if n := report.LeftOut; n[store.Session]+n[store.Ticket] > 0 {
		fmt.Fprintf(r.out, "left out: %d sessions and %d tickets. Their users must log in again.\n", n[store.Session],
			n[store.Ticket])
	}
	return nil
}

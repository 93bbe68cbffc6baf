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

// restore is one run of store restore.
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
		Short: "Make a store of a backup",
		Long: `Check a backup, and make of it the store of a data directory, or of a prefix in
etcd, that has none. No server may run there. Run it as the account that the
server runs as. What is not in the store, as the certificate, is not restored.

All sessions and tickets are left out, and everybody logs in again: the backup
does not know which were ended after it was made, and an end is final. With
--keep-sessions they are kept. That is for a store that was not served after the
backup began, and is moved.`,
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.data = *data
			if err := r.begin(cmd); err != nil {
				return err
			}
			if err := r.run(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("restore store: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&r.store, "store", "", "etcd://HOST:PORT[,HOST:PORT…]/PREFIX, as of serve, instead of --data")
	cmd.Flags().BoolVar(&r.keep, "keep-sessions", false, "keep sessions and tickets: those that were ended since the backup are live again")
	r.etcdFlags(cmd)
	return cmd
}

func (r *restore) target() (place, error) {
	if r.store != "" {
		return r.etcdPlace(r.data, r.store)
	}
	if r.data == "" {
		return place{}, command.Usage("--data DIR or --store STORE is needed")
	}
	return place{dir: r.data}, nil
}

func (r *restore) run(ctx context.Context, file string) (err error) {
	target, err := r.target()
	if err != nil {
		return err
	}
	if target.dir != "" {
		// Its file may have been moved away under it.
		on, err := control.Running(ctx, target.dir)
		if err == nil && on {
			err = fmt.Errorf("a server runs on %s: stop it", target.dir)
		}
		if err != nil {
			return err
		}
	}
	if _, err := inspect(r.err, file); err != nil {
		return err
	}
	from, err := opened(bolt.Open(file, bolt.Options{Logger: r.log, ReadOnly: true}))
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
	r.tell("restored", report)
	if n := report.LeftOut; n[store.Session]+n[store.Ticket] > 0 {
		fmt.Fprintf(r.out, "left out: %d sessions and %d tickets. Their users log in again.\n", n[store.Session], n[store.Ticket])
	}
	return nil
}

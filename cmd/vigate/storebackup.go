package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/control"
	"github.com/vigate/vigate/internal/store/bolt"
)

// backup is one run of store backup.
type backup struct {
	copier
	data    string
	store   string
	replace bool
}

func storeBackupCommand(data *string) *cobra.Command {
	var b backup
	cmd := &cobra.Command{
		Use:   "backup (--data DIR | --store STORE) FILE",
		Short: "Write a copy of the store to a file, while it is served or not",
		Long: `Write a copy of the store to a file that is not there yet, readable by its
owner only, and check the copy before it gets its name. It is the store of one
instant: all that was acknowledged before is in it.

A server may run on the data directory, and nodes on etcd. The running server is
asked for the copy by a socket in the data directory, which is for the account
that it runs as, and for root, on the same machine.

The file holds hashes of passwords and of tokens: keep it as you keep the data
directory. It can't be served as it is: see store restore.`,
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.data = *data
			if err := b.begin(cmd); err != nil {
				return err
			}
			return b.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVar(&b.store, "store", "", "etcd://HOST:PORT[,HOST:PORT…]/PREFIX, as of serve, instead of --data")
	cmd.Flags().BoolVar(&b.replace, "replace", false, "replace a file of that name, once the copy is whole")
	b.etcdFlags(cmd)
	return cmd
}

func (b *backup) run(ctx context.Context, to string) error {
	fill, err := b.source()
	if err != nil {
		return err
	}
	var report bolt.Report
	err = putFile(ctx, to, "."+filepath.Base(to)+".part-*", b.replace, func(file string) (err error) {
		began := time.Now()
		if err := fill(ctx, file); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := bolt.Seal(file, began); err != nil {
			return err
		}
		if report, err = inspect(b.err, file); errors.Is(err, errDamaged) {
			err = fmt.Errorf("the copy is damaged, as the store is then, and is not kept: to save what is left, stop the server and copy %s", storeName)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("back up store: %w", err)
	}
	printReport(b.out, to, report)
	return nil
}

// source returns what writes the copy, durably, to a file that is not there.
func (b *backup) source() (func(ctx context.Context, file string) error, error) {
	if b.store != "" {
		p, err := b.etcdPlace(b.data, b.store)
		return func(ctx context.Context, file string) error { return b.ofEtcd(ctx, p, file) }, err
	}
	path, err := storeFile(b.data)
	return func(ctx context.Context, file string) error { return b.ofFile(ctx, path, file) }, err
}

// ofEtcd copies the records as of one revision.
func (b *backup) ofEtcd(ctx context.Context, p place, file string) (err error) {
	b.force = true // nodes may go on
	from, err := b.openSource(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	_, err = b.intoFile(ctx, from, file)
	return err
}

// ofFile copies the file at path, or has the server do it that has it open.
func (b *backup) ofFile(ctx context.Context, path, file string) (err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	db, err := bolt.Open(path, bolt.Options{Logger: b.log, ReadOnly: true})
	switch {
	case errors.Is(err, bolt.ErrLocked):
		locked := err
		if err = control.Backup(ctx, filepath.Dir(path), f); errors.Is(err, control.ErrNoServer) {
			err = fmt.Errorf("%w, and it is no server that can be asked for a copy: one that starts or ends, or another command; try again (%w)", locked, err)
		}
	case err == nil:
		err = errors.Join(db.Backup(cancellable{ctx, f}), db.Close())
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// cancellable is a writer until ctx ends.
type cancellable struct {
	ctx context.Context
	w   io.Writer
}

func (c cancellable) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/control"
	"github.com/vigate/vigate/internal/store/bolt"
)

// backup is one run of the command store backup.
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
		Short: "Write a backup of the store, even while the server is running",
		Long: `Write a consistent copy of the store to a new file that only its owner can read.
The copy holds every change that was acknowledged before the command began. It
is checked before FILE appears under its name.

The server, or the nodes that use etcd, may be running. A running server makes
the copy itself. The command asks it through a socket in the data directory, so
it must run on the same machine as the server's account or as root.

The backup holds hashes of passwords and tokens. Protect it like the data
directory. To use it, restore it with 'vigate store restore'.`,
		Example: "  vigate store backup --data /var/lib/vigate vigate.backup\n" +
			"  vigate store backup --store etcd://etcd1:2379/vigate vigate.backup",
		Args:                  cobra.ExactArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.data = *data
			b.begin(cmd)
			return b.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVar(&b.store, "store", "",
		"etcd store to back up instead of --data: etcd://HOST:PORT[,HOST:PORT…]/PREFIX")
	cmd.Flags().BoolVar(&b.replace, "replace", false, "replace FILE if it exists, after the copy has succeeded")
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
			err = fmt.Errorf("the copy is damaged and was deleted, so the store is damaged too; to save its "+
				"remaining records, stop the server and copy %s", storeName)
		}
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w; use --replace to replace it", err)
	}
	if err != nil {
		return fmt.Errorf("back up store: %w", err)
	}
	printReport(b.out, to, report)
	return nil
}

// source returns the function that writes the copy to a new file and makes it durable.
func (b *backup) source() (func(ctx context.Context, file string) error, error) {
	if b.store != "" {
		p, err := b.etcdPlace(b.data, b.store)
		return func(ctx context.Context, file string) error { return b.fromEtcd(ctx, p, file) }, err
	}
	if err := b.noEtcd(); err != nil {
		return nil, err
	}
	path, err := storeFile(b.data)
	return func(ctx context.Context, file string) error { return b.fromFile(ctx, path, file) }, err
}

// fromEtcd copies the records of one revision.
func (b *backup) fromEtcd(ctx context.Context, p place, file string) (err error) {
	b.force = true // the nodes may keep running
	from, err := b.openSource(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	_, err = b.intoFile(ctx, from, file)
	return err
}

// fromFile copies the file at path. If a server has the file open, it asks the server for the copy.
func (b *backup) fromFile(ctx context.Context, path, file string) (err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	db, err := bolt.Open(path, bolt.Options{Logger: b.logger, ReadOnly: true})
	switch {
	case errors.Is(err, bolt.ErrLocked):
		locked := err
		if err = control.Backup(ctx, filepath.Dir(path), f); errors.Is(err, control.ErrNoServer) {
			err = fmt.Errorf("%w; that process can't make a copy: it is a server that is starting or stopping, or "+
				"another command; try again (%w)", locked, err)
		}
	case err == nil:
		err = errors.Join(db.Backup(cancellable{ctx, f}), db.Close())
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// cancellable is a writer that fails after ctx ends.
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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/transfer"
)

// copier is what the commands that copy records have in common.
type copier struct {
	force    bool          // from etcd although nodes use it
	without  []store.Kind  // what is left out
	etcd     config.Config // how etcd is spoken to
	out, err io.Writer
	log      *slog.Logger
}

// move is one run of store copy.
type move struct {
	copier
	from, to string
}

func storeCopyCommand() *cobra.Command {
	var m move
	cmd := &cobra.Command{
		Use:   "copy --from STORE --to STORE",
		Short: "Copy a store into an empty one, of the same make or another",
		Long: `Copy all of a store into an empty one, and verify the copy. All servers that
use either must be stopped.

A STORE is bolt:DIR, where DIR is a server's data directory, or
etcd://HOST:PORT[,HOST:PORT…]/PREFIX as serve --store takes it.

Sessions, tickets, users, roles, permissions, extensions, settings and events
are copied as they are, with their expiries. The source is not changed. Of the
data directory only the store is copied, not the certificate.

A copy is for moving: the source must not be served any more, or a session that
ends on one lives on on the other. With --force, sessions that end during the
copy or later are live on the copy. For a backup there is store backup, whose
file is restored without sessions.

What was copied in part is no store: in a directory it is removed, and in etcd
it is marked so that servers refuse it until it is removed from there.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("data") {
				return command.Usage("--data is not for this: give --from bolt:DIR or --to bolt:DIR")
			}
			if err := m.begin(cmd); err != nil {
				return err
			}
			return m.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&m.from, "from", "", "the store to copy")
	cmd.Flags().StringVar(&m.to, "to", "", "where to: a store that is not there yet")
	cmd.Flags().BoolVar(&m.force, "force", false, "copy from etcd although nodes use it: what they do meanwhile may be lost")
	m.etcdFlags(cmd)
	return cmd
}

func (c *copier) etcdFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.etcd.EtcdCA, "etcd-ca", "", "PEM file of the authorities of etcd's certificates")
	cmd.Flags().StringVar(&c.etcd.EtcdCert, "etcd-cert", "", "PEM file of a client certificate for etcd")
	cmd.Flags().StringVar(&c.etcd.EtcdKey, "etcd-key", "", "PEM file of the private key of etcd-cert")
}

// begin takes what the command's flags say.
func (c *copier) begin(cmd *cobra.Command) error {
	if (c.etcd.EtcdCert == "") != (c.etcd.EtcdKey == "") {
		return command.Usage("--etcd-cert and --etcd-key go together")
	}
	c.out, c.err, c.log = cmd.OutOrStdout(), cmd.ErrOrStderr(), slog.New(slog.DiscardHandler)
	return nil
}

// place is what a STORE says.
type place struct {
	dir  string // of an embedded store
	etcd config.Config
}

func (c *copier) place(flag, text string) (place, error) {
	if dir, ok := strings.CutPrefix(text, "bolt:"); ok && dir != "" {
		return place{dir: dir}, nil
	}
	s, err := config.ParseStore(text)
	if err == nil && len(s.Endpoints) == 0 {
		err = errors.New("needs a directory: bolt:DIR")
	}
	if err != nil {
		return place{}, command.Usage("--%s: %w", flag, err)
	}
	p := place{etcd: c.etcd}
	p.etcd.Store, p.etcd.NodeName = s, "store copy"
	return p, nil
}

// etcdPlace is what --store says, which is an etcd.
func (c *copier) etcdPlace(data, text string) (place, error) {
	if data != "" {
		return place{}, command.Usage("give --data DIR or --store STORE, not both")
	}
	p, err := c.place("store", text)
	if err == nil && p.dir != "" {
		err = command.Usage("--store takes etcd://HOST:PORT/PREFIX: give --data DIR for an embedded store")
	}
	return p, err
}

func (m *move) run(ctx context.Context) (err error) {
	source, err := m.place("from", m.from)
	if err != nil {
		return err
	}
	target, err := m.place("to", m.to)
	if err != nil {
		return err
	}
	from, err := m.openSource(ctx, source)
	if err != nil {
		return fmt.Errorf("open the store to copy: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	report, err := m.into(ctx, from, target)
	if err != nil {
		return err
	}
	if report.Changed {
		fmt.Fprintln(m.err, "The source was written to meanwhile: the copy is the source as it was at the start.")
	}
	m.tell("copied", report)
	return nil
}

func (c *copier) into(ctx context.Context, from store.Store, target place) (transfer.Report, error) {
	if target.dir != "" {
		return c.intoDir(ctx, from, target.dir)
	}
	return c.intoEtcd(ctx, from, target.etcd)
}

// openSource opens the store that is copied, which must be there and which
// nobody may use. The lock of an embedded one says so.
func (c *copier) openSource(ctx context.Context, p place) (store.Store, error) {
	if p.dir != "" {
		path, err := storeFile(p.dir)
		if err != nil {
			return nil, err
		}
		return opened(bolt.Open(path, bolt.Options{Logger: c.log}))
	}
	s, err := opened(serve.OpenEtcd(ctx, p.etcd, etcd.Read, c.log))
	if err != nil || c.force {
		return s, err
	}
	nodes, err := cluster.Live(ctx, s, time.Now())
	if err == nil && len(nodes) > 0 {
		var names []string
		for _, n := range nodes {
			names = append(names, fmt.Sprintf("%q", n.Name))
		}
		err = fmt.Errorf("it is in use by %s: stop them, or wait 20 s for those that died, or give --force", strings.Join(names, ", "))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// opened keeps a nil pointer from becoming an interface that is none.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// intoDir makes the store of a data directory.
func (c *copier) intoDir(ctx context.Context, from store.Store, dir string) (report transfer.Report, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil { // as a server makes it
		return report, fmt.Errorf("make data directory: %w", err)
	}
	err = putFile(ctx, filepath.Join(dir, storeName), ".copy-*", false, func(file string) error {
		report, err = c.intoFile(ctx, from, file)
		return err
	})
	if err != nil {
		return report, fmt.Errorf("make store: %w", err)
	}
	return report, nil
}

func (c *copier) intoFile(ctx context.Context, from store.Store, file string) (transfer.Report, error) {
	to, err := bolt.Open(file, bolt.Options{Logger: c.log})
	if err != nil {
		return transfer.Report{}, err
	}
	report, err := c.copy(ctx, from, to)
	return report, errors.Join(err, to.Close())
}

// putFile has fill make a file beside its place, durably, and puts it there when
// it is whole, so that a file of that name is whole or not there at all.
func putFile(ctx context.Context, to, pattern string, replace bool, fill func(file string) error) (err error) {
	if _, err := os.Lstat(to); !replace && !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return fmt.Errorf("%s: %w", to, err)
	}
	dir := filepath.Dir(to)
	temp, err := os.MkdirTemp(dir, pattern) // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	file := filepath.Join(temp, storeName)
	if err := fill(file); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	put := os.Link // which, unlike a rename, does not replace what is there
	if replace {
		put = os.Rename
	}
	if err := put(file, to); err != nil {
		return err
	}
	return syncDir(dir)
}

func (c *copier) intoEtcd(ctx context.Context, from store.Store, cfg config.Config) (transfer.Report, error) {
	to, err := serve.OpenEtcd(ctx, cfg, etcd.Fill, c.log)
	if err != nil {
		return transfer.Report{}, err
	}
	report, err := c.copy(ctx, from, to)
	if err == nil {
		err = to.Finish(ctx)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return report, fmt.Errorf("%w: what was written is marked as unfinished, and servers refuse it: remove all keys that begin with /%s/ to begin again",
			err, strings.Trim(cfg.Store.Prefix, "/"))
	}
	return report, nil
}

// tellEvery bounds how often the progress is told.
const tellEvery = 2 * time.Second

func (c *copier) copy(ctx context.Context, from, to store.Store) (transfer.Report, error) {
	told := time.Now()
	progress := func(copied, verified int) {
		if time.Since(told) < tellEvery {
			return
		}
		told = time.Now()
		if verified > 0 {
			fmt.Fprintf(c.err, "verified %d of %d records\n", verified, copied)
		} else {
			fmt.Fprintf(c.err, "copied %d records\n", copied)
		}
	}
	return transfer.Copy(ctx, from, to, transfer.Options{Progress: progress, Changing: c.force, Without: c.without})
}

func (c *copier) tell(done string, r transfer.Report) {
	fmt.Fprintf(c.out, "%s and verified, SHA-256 %s\n", done, r.Digest)
	printCounts(c.out, r.Records)
}

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
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/transfer"
)

// move is one run of store copy.
type move struct {
	from, to string
	force    bool
	etcd     config.Config // how etcd is spoken to
	out, err io.Writer
	log      *slog.Logger
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

What was copied in part is no store: in a directory it is removed, and in etcd
it is marked so that servers refuse it until it is removed from there.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("data") {
				return command.Usage("--data is not for this: give --from bolt:DIR or --to bolt:DIR")
			}
			if (m.etcd.EtcdCert == "") != (m.etcd.EtcdKey == "") {
				return command.Usage("--etcd-cert and --etcd-key go together")
			}
			m.out, m.err, m.log = cmd.OutOrStdout(), cmd.ErrOrStderr(), slog.New(slog.DiscardHandler)
			return m.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&m.from, "from", "", "the store to copy")
	cmd.Flags().StringVar(&m.to, "to", "", "where to: a store that is not there yet")
	cmd.Flags().BoolVar(&m.force, "force", false, "copy from etcd although nodes use it: what they do meanwhile may be lost")
	cmd.Flags().StringVar(&m.etcd.EtcdCA, "etcd-ca", "", "PEM file of the authorities of etcd's certificates")
	cmd.Flags().StringVar(&m.etcd.EtcdCert, "etcd-cert", "", "PEM file of a client certificate for etcd")
	cmd.Flags().StringVar(&m.etcd.EtcdKey, "etcd-key", "", "PEM file of the private key of etcd-cert")
	return cmd
}

// place is what a STORE says.
type place struct {
	dir  string // of an embedded store
	etcd config.Config
}

func (m *move) place(flag, text string) (place, error) {
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
	p := place{etcd: m.etcd}
	p.etcd.Store, p.etcd.NodeName = s, "store copy"
	return p, nil
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
	if target.dir != "" {
		return m.intoDir(ctx, from, target.dir)
	}
	return m.intoEtcd(ctx, from, target.etcd)
}

// openSource opens the store that is copied, which must be there and which
// nobody may use. The lock of an embedded one says so.
func (m *move) openSource(ctx context.Context, p place) (transfer.Store, error) {
	if p.dir != "" {
		path, err := storeFile(p.dir)
		if err != nil {
			return nil, err
		}
		return opened(bolt.Open(path, bolt.Options{Logger: m.log}))
	}
	s, err := opened(openEtcd(ctx, p.etcd, etcd.Read, m.log))
	if err != nil || m.force {
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
func opened[S transfer.Store](s S, err error) (transfer.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// intoDir fills a store beside its place, and puts it there when it is whole.
func (m *move) intoDir(ctx context.Context, from transfer.Store, dir string) (err error) {
	path := filepath.Join(dir, storeName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return fmt.Errorf("make store %s: %w", path, err)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil { // as a server makes it
		return fmt.Errorf("make data directory: %w", err)
	}
	temp, err := os.MkdirTemp(dir, ".copy-*")
	if err != nil {
		return fmt.Errorf("make store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	file := filepath.Join(temp, storeName)
	to, err := bolt.Open(file, bolt.Options{Logger: m.log})
	if err != nil {
		return err
	}
	report, err := m.copy(ctx, from, to)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what is there.
	if err := os.Link(file, path); err != nil {
		return fmt.Errorf("put store into place: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("put store into place: %w", err)
	}
	m.tell(report)
	return nil
}

func (m *move) intoEtcd(ctx context.Context, from transfer.Store, cfg config.Config) (err error) {
	to, err := openEtcd(ctx, cfg, etcd.Fill, m.log)
	if err != nil {
		return err
	}
	report, err := m.copy(ctx, from, to)
	if err == nil {
		err = to.Finish(ctx)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("%w: what was written is marked as unfinished, and servers refuse it: remove all keys that begin with /%s/ to begin again",
			err, strings.Trim(cfg.Store.Prefix, "/"))
	}
	m.tell(report)
	return nil
}

// tellEvery bounds how often the progress is told.
const tellEvery = 2 * time.Second

func (m *move) copy(ctx context.Context, from, to transfer.Store) (transfer.Report, error) {
	told := time.Now()
	progress := func(copied, verified int) {
		if time.Since(told) < tellEvery {
			return
		}
		told = time.Now()
		if verified > 0 {
			fmt.Fprintf(m.err, "verified %d of %d records\n", verified, copied)
		} else {
			fmt.Fprintf(m.err, "copied %d records\n", copied)
		}
	}
	report, err := transfer.Copy(ctx, from, to, transfer.Options{Progress: progress, Changing: m.force})
	if err == nil && report.Changed {
		fmt.Fprintln(m.err, "The source was written to meanwhile: the copy is the source as it was at the start.")
	}
	return report, err
}

func (m *move) tell(r transfer.Report) {
	fmt.Fprintf(m.out, "copied and verified, SHA-256 %s\n", r.Digest)
	printCounts(m.out, r.Records)
}

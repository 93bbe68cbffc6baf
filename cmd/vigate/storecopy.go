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
	"github.com/vigate/vigate/internal/serve/shared"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/transfer"
)

// copier holds what the commands that copy records have in common.
type copier struct {
	force    bool                // copy from etcd although nodes use it
	without  []store.Kind        // kinds of records that are left out
	etcd     []*config.FlagValue // settings of the connection to etcd
	out, err io.Writer
	logger   *slog.Logger
}

// move is one run of the command store copy.
type move struct {
	copier
	from, to string
}

func storeCopyCommand() *cobra.Command {
	var m move
	cmd := &cobra.Command{
		Use:     "copy --from STORE --to STORE",
		Short:   "Copy a store into an empty store of the same or another type",
		Example: "  vigate store copy --from bolt:/var/lib/vigate --to etcd://etcd1:2379,etcd2:2379/vigate",
		Long: `Copy a whole store into an empty one and verify the copy. All servers that use
either store must be stopped.

STORE is bolt:DIR, where DIR is a server's data directory, or
etcd://HOST:PORT[,HOST:PORT…]/PREFIX, as for serve --store.

Sessions, tickets, users, roles, permissions, extensions, settings and events
are copied unchanged, with their expiry times. The source is not changed. From a
data directory only the store is copied, not the certificate.

Use this command to move a server. Do not run a server on the source afterwards,
because a session that ends in one store stays alive in the other. With --force,
sessions that end during the copy or later are alive in the copy. For backups
use store backup, whose files are restored without sessions.

If the copy fails, a partial copy in a directory is removed. A partial copy in
etcd is marked, and servers refuse it until its keys are removed.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("data") {
				return command.Usage("--data can't be used with store copy; use --from bolt:DIR or --to bolt:DIR")
			}
			m.begin(cmd)
			return m.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&m.from, "from", "", "store to copy")
	cmd.Flags().StringVar(&m.to, "to", "", "new store to create")
	cmd.Flags().BoolVar(&m.force, "force", false, "copy from etcd although nodes use it; changes during the copy may "+
		"be lost")
	m.etcdFlags(cmd)
	return cmd
}

func (c *copier) etcdFlags(cmd *cobra.Command) {
	for _, k := range config.EtcdKeys() {
		v := k.FlagValue()
		c.etcd = append(c.etcd, v)
		cmd.Flags().VarP(v, k.Name, "", k.Help)
	}
}

// noEtcd returns an error if a flag of etcd is set although no store is in etcd.
func (c *copier) noEtcd() error {
	if set := given(c.etcd); len(set) > 0 {
		return command.Usage("--%s can only be used with a store in etcd", set[0].Name)
	}
	return nil
}

// begin sets the command's outputs.
func (c *copier) begin(cmd *cobra.Command) {
	c.out, c.err, c.logger = cmd.OutOrStdout(), cmd.ErrOrStderr(), slog.New(slog.DiscardHandler)
}

// place is a parsed STORE argument.
type place struct {
	dir  string // data directory of an embedded store
	etcd config.Config
}

func (c *copier) place(flag, text string) (place, error) {
	if dir, ok := strings.CutPrefix(text, "bolt:"); ok && dir != "" {
		return place{dir: dir}, nil
	}
	s, err := config.ParseStore(text)
	if err == nil && len(s.Endpoints) == 0 {
		err = errors.New("a directory is required: bolt:DIR")
	}
	if err != nil {
		return place{}, command.Usage("--%s: %w", flag, err)
	}
	cfg, err := config.LoadEtcd(s, given(c.etcd))
	if err != nil {
		return place{}, command.Usage("%w", err)
	}
	cfg.NodeName = "store copy"
	return place{etcd: cfg}, nil
}

// etcdPlace parses the value of --store, which must be an etcd store.
func (c *copier) etcdPlace(data, text string) (place, error) {
	if data != "" {
		return place{}, command.Usage("--data and --store exclude each other")
	}
	p, err := c.place("store", text)
	if err == nil && p.dir != "" {
		err = command.Usage("--store must be etcd://HOST:PORT/PREFIX; for an embedded store use --data DIR")
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
	if source.dir != "" && target.dir != "" {
		if err := m.noEtcd(); err != nil {
			return err
		}
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
		fmt.Fprintln(m.err, "The source was changed during the copy. The copy has its state at the start.")
	}
	m.printResult("copied", report)
	return nil
}

func (c *copier) into(ctx context.Context, from store.Store, target place) (transfer.Report, error) {
	if target.dir != "" {
		return c.intoDir(ctx, from, target.dir)
	}
	return c.intoEtcd(ctx, from, target.etcd)
}

// openSource opens the store to copy. It must exist, and no server may use it. For an embedded
// store, its lock ensures that.
func (c *copier) openSource(ctx context.Context, p place) (store.Store, error) {
	if p.dir != "" {
		path, err := storeFile(p.dir)
		if err != nil {
			return nil, err
		}
		return opened(bolt.Open(path, bolt.Options{Logger: c.logger}))
	}
	s, err := opened(shared.OpenEtcd(ctx, p.etcd, etcd.Read, c.logger))
	if err != nil || c.force {
		return s, err
	}
	nodes, err := cluster.Live(ctx, s, time.Now())
	if err == nil && len(nodes) > 0 {
		var names []string
		for _, n := range nodes {
			names = append(names, fmt.Sprintf("%q", n.Name))
		}
		err = fmt.Errorf("it is in use by %s; stop these nodes, wait 20 s if they have crashed, or use --force",
			strings.Join(names, ", "))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// opened returns a nil interface after an error, instead of an interface that holds a nil pointer.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// intoDir makes the store of a data directory.
func (c *copier) intoDir(ctx context.Context, from store.Store, dir string) (report transfer.Report, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil { // the mode that a server uses
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
	to, err := bolt.Open(file, bolt.Options{Logger: c.logger})
	if err != nil {
		return transfer.Report{}, err
	}
	report, err := c.copy(ctx, from, to)
	return report, errors.Join(err, to.Close())
}

// putFile calls fill to write a temporary file, and then gives the file its final name. fill must
// make the file durable. A file with the final name is therefore always complete.
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
	put := os.Link // unlike Rename, Link does not replace an existing file
	if replace {
		put = os.Rename
	}
	if err := put(file, to); err != nil {
		return err
	}
	return syncDir(dir)
}

func (c *copier) intoEtcd(ctx context.Context, from store.Store, cfg config.Config) (transfer.Report, error) {
	to, err := shared.OpenEtcd(ctx, cfg, etcd.Fill, c.logger)
	if err != nil {
		return transfer.Report{}, err
	}
	report, err := c.copy(ctx, from, to)
	if err == nil {
		err = to.Finish(ctx)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return report, fmt.Errorf("%w; the partial copy is marked as unfinished, and servers refuse it; remove all "+
			"keys that begin with /%s/ before you try again",
			err, strings.Trim(cfg.Store.Prefix, "/"))
	}
	return report, nil
}

// progressInterval is the minimum time between two progress messages.
const progressInterval = 2 * time.Second

func (c *copier) copy(ctx context.Context, from, to store.Store) (transfer.Report, error) {
	reported := time.Now()
	progress := func(copied, verified int) {
		if time.Since(reported) < progressInterval {
			return
		}
		reported = time.Now()
		if verified > 0 {
			fmt.Fprintf(c.err, "verified %d of %d records\n", verified, copied)
		} else {
			fmt.Fprintf(c.err, "copied %d records\n", copied)
		}
	}
	return transfer.Copy(ctx, from, to, transfer.Options{Progress: progress, Changing: c.force, Without: c.without})
}

func (c *copier) printResult(done string, r transfer.Report) {
	fmt.Fprintf(c.out, "%s and verified, SHA-256 %s\n", done, r.Digest)
	printCounts(c.out, r.Records)
}

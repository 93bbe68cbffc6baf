package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
)

// storeName is the embedded store's file in the data directory.
const storeName = "vigate.db"

func storeCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check, back up and move the data of a server that is stopped",
		Args:  cobra.ArbitraryArgs,
		RunE:  command.NeedSubcommand,
	}
	cmd.PersistentFlags().StringVar(&data, "data", "", "data directory of the server")
	cmd.AddCommand(storeCheckCommand(&data), storeBackupCommand(&data), storeCopyCommand(), storeFillCommand(&data))
	return cmd
}

// storeFile is the path of the store in a data directory, which must be there:
// to look at data must not make any.
func storeFile(data string) (string, error) {
	if data == "" {
		return "", command.Usage("--data DIR is needed")
	}
	path := filepath.Join(data, storeName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find store: %w", err)
	}
	return path, nil
}

func storeCheckCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read all of the store and report what is damaged",
		Long: `Read all of the store and report what is damaged. Nothing is changed.

The server must be stopped; check the backup of one that runs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := storeFile(*data)
			if err != nil {
				return err
			}
			return checkStore(cmd.OutOrStdout(), path)
		},
	}
}

// kindNames are what the report calls the records.
var kindNames = map[store.Kind]string{
	store.Session: "sessions", store.Ticket: "tickets", store.Spent: "spent logins", store.Account: "users",
	store.Role: "roles", store.Permission: "permissions", store.Extension: "extensions", store.Setting: "settings",
	store.Event: "events", store.Lockout: "lockouts", store.Node: "nodes",
}

var errDamaged = errors.New("the store is damaged: restore a backup, or ask for help with what is left")

func checkStore(w io.Writer, path string) error {
	report, err := bolt.Check(path)
	if err != nil {
		return err
	}
	for _, err := range report.Damage {
		fmt.Fprintln(w, command.Clean(err.Error()))
	}
	if len(report.Damage) > 0 {
		return errDamaged
	}
	fmt.Fprintf(w, "%s is sound, at revision %d\n", path, report.Revision)
	printCounts(w, report.Records)
	return nil
}

func printCounts(w io.Writer, records map[store.Kind]int) {
	for _, k := range slices.Sorted(maps.Keys(records)) {
		fmt.Fprintf(w, "%12d %s\n", records[k], kindNames[k])
	}
}

func storeBackupCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of the store to a new file",
		Long: `Write a copy of the store to a new file, readable by its owner only, and check
the copy. It holds password hashes. To restore, stop the server and put the
file in the place of ` + storeName + ` in the data directory.

The server must be stopped.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := storeFile(*data)
			if err != nil {
				return err
			}
			if err := backUp(path, args[0]); err != nil {
				return fmt.Errorf("back up store: %w", err)
			}
			return checkStore(cmd.OutOrStdout(), args[0])
		},
	}
}

// backUp copies the store at path to a file that must not be there. A file of
// that name is whole and durable or it is not there at all.
func backUp(path, to string) (err error) {
	dir := filepath.Dir(to)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(to)+".part-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Close(), os.Remove(temp.Name())) }()
	db, err := bolt.Open(path, bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Backup(temp), db.Close(), temp.Sync()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what is there.
	if err := os.Link(temp.Name(), to); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", to, fs.ErrExist)
		}
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func storeFillCommand(data *string) *cobra.Command {
	var f filling
	cmd := &cobra.Command{
		Use:    "fill",
		Short:  "Make sessions up, to measure with",
		Hidden: true, // for benchmarks
		Long: `Make sessions up in the store of a server that is stopped, as logins of many
users from many addresses would: for benchmarks. Nobody is told their tokens.

A server that shall serve them needs --max-sessions and --idle-timeout to fit.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if *data == "" {
				return command.Usage("--data DIR is needed")
			}
			if f.sessions < 1 || f.users < 1 || f.sessions > maxFill || f.users > maxFill {
				return command.Usage("--sessions and --users must be 1 to %d", maxFill)
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			return f.run(ctx, *data)
		},
	}
	cmd.Flags().IntVar(&f.sessions, "sessions", 0, "how many sessions to make")
	cmd.Flags().IntVar(&f.users, "users", 1000, "of how many users")
	return cmd
}

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
)

const storeName = storage.File

func storeCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check, back up, restore and move the data of a server",
		Args:  cobra.ArbitraryArgs,
		RunE:  command.NeedSubcommand,
	}
	cmd.PersistentFlags().StringVar(&data, "data", "", "data directory of the server")
	cmd.AddCommand(storeCheckCommand(&data), storeBackupCommand(&data), storeRestoreCommand(&data), storeCopyCommand())
	return cmd
}

// storeFile returns the path of the store in a data directory. The file must exist, so that no
// command makes a store just by looking at it.
func storeFile(data string) (string, error) {
	if data == "" {
		return "", command.Usage("--data DIR is required")
	}
	path := filepath.Join(data, storeName)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find store: %w", err)
	}
	return path, nil
}

func storeCheckCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Read a whole store or backup and report damage",
		Long: `Read the whole store in the data directory, or a backup FILE, and report damaged
records. Nothing is changed.

The server must be stopped. To check the store of a running server, use 'vigate
store backup', which checks the backup that it makes.`,
		Example: "  vigate store check --data /var/lib/vigate\n" +
			"  vigate store check vigate.backup",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && *data != "" {
				return command.Usage("FILE and --data exclude each other")
			}
			path := strings.Join(args, "")
			if path == "" {
				var err error
				if path, err = storeFile(*data); err != nil {
					return err
				}
			}
			w := cmd.OutOrStdout()
			report, err := inspect(w, path)
			switch {
			case errors.Is(err, bolt.ErrLocked):
				return fmt.Errorf("%w; to check the store of a running server, use 'vigate store backup'", err)
			case err != nil:
				return err
			}
			printReport(w, path, report)
			return nil
		},
	}
}

// kindNames are the names of the record kinds in reports.
var kindNames = map[store.Kind]string{
	store.Session: "sessions", store.Ticket: "tickets", store.Spent: "spent logins", store.Account: "users",
	store.Role: "roles", store.Permission: "permissions", store.Extension: "extensions", store.Setting: "settings",
	store.Event: "events", store.Lockout: "lockouts", store.Node: "nodes", store.Numbers: "event numberings",
	store.KeptEvent: "events with longer retention", store.Roster: "rosters of new names",
	store.SigningKey: "keys of the token service", store.Upstream: "notes of sessions at upstreams",
}

var errDamaged = errors.New("the store is damaged; restore a backup, or ask for help to recover the remaining records")

// inspect reads a whole store file and prints its damage to w.
func inspect(w io.Writer, path string) (bolt.Report, error) {
	report, err := bolt.Check(path)
	if err != nil {
		return report, err
	}
	for _, err := range report.Damage {
		fmt.Fprintln(w, command.Clean(err.Error()))
	}
	if len(report.Damage) > 0 {
		return report, errDamaged
	}
	return report, nil
}

func printReport(w io.Writer, name string, report bolt.Report) {
	backup := ""
	if !report.Sealed.IsZero() {
		backup = ", a backup of " + report.Sealed.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "%s is sound, at revision %d%s\n", name, report.Revision, backup)
	printCounts(w, report.Records)
}

func printCounts(w io.Writer, records map[store.Kind]int) {
	for _, k := range slices.Sorted(maps.Keys(records)) {
		fmt.Fprintf(w, "%12d %s\n", records[k], kindNames[k])
	}
}

// syncDir makes the changes of names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

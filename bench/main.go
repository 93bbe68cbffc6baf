//go:build linux

// Command bench compares vigate with two other servers: the floor, a bare net/http server, and the
// peer, govmomi's simulator. Each runs in its own process under the same load, and they are
// measured in turns. It also compares a cluster of vigate nodes with the etcd cluster that it uses.
// It prints a table of the figures with their goals and writes it as JSON. With -soak, it keeps
// vigate alone under load for a long time. With -flood, it sends floods to vigate. See
// docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vigate/vigate/bench/figure"
)

// options configures the measurements.
type options struct {
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration"` // of one measurement
	Warm     time.Duration `json:"warm"`
	// Reads are compared with the floor to within a few per cent. The speed of the machine varies
	// as much from one second to the next, so reads are measured in more and shorter turns.
	ReadRounds   int           `json:"read_rounds"`
	ReadDuration time.Duration `json:"read_duration"`

	Sessions int `json:"sessions"`  // live sessions for P3, P5 and P7
	List     int `json:"list"`      // sessions in the list of P6 and P12
	PeerList int `json:"peer_list"` // sessions in the peer's list
	Crowd    int `json:"crowd"`     // client sessions of G2
	// Losing is the time for which sessions are lost in G6.
	Losing time.Duration `json:"losing"`

	Pages    int           `json:"pages"`    // how often each page of P12 is requested
	Watchers int           `json:"watchers"` // browsers of P12 that watch the list
	Idle     time.Duration `json:"idle"`     // how long they watch while nothing happens

	Only    string `json:"only,omitempty"` // sections to run; all if empty
	Profile string `json:"-"`
}

var (
	quick = options{Rounds: 3, Duration: time.Second, Warm: 300 * time.Millisecond, ReadRounds: 9,
		ReadDuration: 400 * time.Millisecond, Sessions: 100_000, List: 100_000, PeerList: 10_000,
		Crowd: 10_000, Losing: 10 * time.Second, Pages: 10, Watchers: 1000, Idle: 5 * time.Second}
	full = options{Rounds: 3, Duration: 3 * time.Second, Warm: 500 * time.Millisecond, ReadRounds: 21,
		ReadDuration: 800 * time.Millisecond, Sessions: 1_000_000, List: 100_000, PeerList: 100_000,
		Crowd: 10_000, Losing: time.Minute, Pages: 30, Watchers: 1000, Idle: 10 * time.Second}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const onlyHelp = "sections to run, separated by commas: reads,logins,clones,client,tokens,start,many,list,console," +
	"cluster,gateway"

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	all := flags.Bool("full", false, "run longer, and with 1,000,000 sessions")
	only := flags.String("only", "", onlyHelp)
	dir := flags.String("dir", "data", "directory on a real disk for the servers' data")
	results := flags.String("results", "results", "directory for the JSON files")
	profile := flags.String("profile", "", "directory for CPU profiles of P1, P2, P4, P9 and a memory profile of P5")
	soakFor := flags.Duration("soak", 0, "instead, keep vigate under full load for this time; report growth and errors")
	floodFor := flags.Duration("flood", 0, "instead, flood vigate for this time and measure another user's calls")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *floodFor > 0 {
		return runFlood(ctx, *dir, *floodFor, os.Stdout)
	}
	if *soakFor > 0 {
		return runSoak(ctx, *dir, *soakFor, os.Stdout)
	}
	o := quick
	limit := 10 * time.Minute
	if *all {
		o, limit = full, time.Hour
	}
	o.Only, o.Profile = *only, *profile
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	r, err := newRig(ctx, o, *dir, append(beside, vigateProgram, fillProgram)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	rep := newReport(o, r.dir)
	before, err := used(r.running)
	if err != nil {
		return err
	}
	began := time.Now()
	for _, s := range sections {
		if o.Only != "" && !contains(o.Only, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(began).Seconds(), s.name)
		figures, err := s.run(ctx, r)
		if err != nil {
			return fmt.Errorf("measure %s: %w", s.name, err)
		}
		rep.Figures = append(rep.Figures, figures...)
	}
	after, err := used(r.running)
	if err != nil {
		return err
	}
	rep.Others = after.others(before)
	rep.Took = time.Since(began).Round(time.Second).String()
	slices.SortStableFunc(rep.Figures, figure.Compare)
	rep.print(os.Stdout)
	return rep.write(filepath.Join(*results, time.Now().UTC().Format("20060102T150405Z")+".json"))
}

func contains(list, name string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if s == name {
			return true
		}
	}
	return false
}

// sections are the groups of measurements in the order in which they run. Some leave their servers
// running for the next section.
var sections = []struct {
	name string
	run  func(context.Context, *rig) ([]figure.Figure, error)
}{
	{"reads", reads},     // P1, P2
	{"logins", logins},   // P8, before P4: the garbage of hashing makes the collector mark all sessions
	{"clones", clones},   // P4
	{"client", client},   // P10
	{"tokens", tokens},   // P11
	{"start", start},     // P7, without sessions
	{"many", many},       // P3, P5, P7
	{"list", list},       // P6
	{"console", console}, // P12
	{"cluster", cluster}, // P9
	{"gateway", gateway}, // G1 to G6
}

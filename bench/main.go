//go:build linux

// Command bench measures vigate beside a floor, a bare net/http server, and a
// peer, govmomi's simulator: each a process of its own, under the same load,
// taking turns; and a cluster of it beside the etcd that it stands on. It prints
// a table of the figures with their goals and writes it as JSON too. With -soak
// it holds vigate alone under load for long, with -flood it sends it floods. See
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
	"strings"
	"syscall"
	"time"
)

// options say how much is measured.
type options struct {
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration"` // of one measurement
	Warm     time.Duration `json:"warm"`
	// Reads are compared with the floor within a few per cent, which the machine
	// changes by from one second to the next: so they take more turns, and shorter.
	ReadRounds   int           `json:"read_rounds"`
	ReadDuration time.Duration `json:"read_duration"`

	Sessions int    `json:"sessions"`       // live ones for P3, P5, P7
	List     int    `json:"list"`           // sessions in P6's list
	PeerList int    `json:"peer_list"`      // and in the peer's
	Only     string `json:"only,omitempty"` // sections, for work on one of them
	Profile  string `json:"-"`
}

var (
	quick = options{Rounds: 3, Duration: time.Second, Warm: 300 * time.Millisecond, ReadRounds: 9, ReadDuration: 400 * time.Millisecond, Sessions: 100_000, List: 100_000, PeerList: 10_000}
	full  = options{Rounds: 3, Duration: 3 * time.Second, Warm: 500 * time.Millisecond, ReadRounds: 21, ReadDuration: 800 * time.Millisecond, Sessions: 1_000_000, List: 100_000, PeerList: 100_000}
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

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	all := flags.Bool("full", false, "with 1,000,000 sessions, and longer")
	only := flags.String("only", "", "sections to run, by comma: reads,logins,clones,client,start,many,list,cluster")
	dir := flags.String("dir", "data", "directory on a real disk for the servers' data")
	results := flags.String("results", "results", "directory for the JSON")
	profile := flags.String("profile", "", "directory for profiles of vigate: processor under P1, P2, P4 and P9, memory of P5")
	soakFor := flags.Duration("soak", 0, "hold a vigate under full load for so long instead, and tell whether it grows or errs")
	floodFor := flags.Duration("flood", 0, "send a vigate four floods for so long instead, and tell how another user fares")
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
	rep.sort()
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

// sections are run in this order. One leaves its servers running for the next
// where that is said.
var sections = []struct {
	name string
	run  func(context.Context, *rig) ([]figure, error)
}{
	{"reads", reads},     // P1, P2
	{"logins", logins},   // P8, before the many sessions of P4: the garbage of hashing has them marked
	{"clones", clones},   // P4
	{"client", client},   // P10
	{"start", start},     // P7, without sessions
	{"many", many},       // P3, P5, P7
	{"list", list},       // P6
	{"cluster", cluster}, // P9
}

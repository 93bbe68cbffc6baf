//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/vigate/vigate/bench/soak"
)

// soakLoad configures a soak.
type soakLoad struct {
	duration time.Duration
	// patience is the maximum time for which the load continues until everything has happened.
	patience time.Duration
	idle     time.Duration // idle timeout of sessions
	clones   int           // a second
	// events is the number of events that are created before the load. They fill the part of the
	// log for logins, which holds 40,000. Otherwise it would grow for minutes and look like a leak.
	events int
}

var longSoak = soakLoad{idle: 10 * time.Second, clones: 200, events: 100_000}

var errSoak = errors.New("the server grew or returned wrong responses under load")

// runSoak keeps vigate under load for the time d. It fails if vigate grows or returns wrong
// responses.
func runSoak(ctx context.Context, dir string, d time.Duration, out io.Writer) error {
	l := longSoak
	l.duration = d
	rep, err := soakVigate(ctx, dir, l, out)
	if err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	wrong := append(rep.Errors(), rep.Growth(d)...)
	rep.Print(out, d)
	for _, w := range wrong {
		fmt.Fprintln(out, "WRONG:", w)
	}
	if len(wrong) > 0 {
		return errSoak
	}
	fmt.Fprintln(out, "flat, and no error that was not asked for")
	return nil
}

func soakVigate(ctx context.Context, dir string, l soakLoad, out io.Writer) (_ *soak.Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration+l.patience+15*time.Minute)
	defer cancel()
	r, err := newRig(ctx, quick, dir, vigateProgram, fillProgram)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if l.events > 0 {
		if err := r.fill(ctx, "soak", l.events); err != nil {
			return nil, err
		}
	}
	s, err := r.launch("vigate", r.data("soak"), func(s *server) []string {
		return []string{
			"serve", "--data", s.data, "--plain-http", s.plain, "--listen", s.secure, "--admin-listen", s.admin,
			"--max-sessions", "1000000", "--max-sessions-per-user", "1000000", "--idle-timeout", l.idle.String(),
			// All clients have the same address, which wrong passwords must not lock.
			"--lockout-address-failures", "1000000", "--lockout-address-window", "1s",
			"--log-level", "warn",
		}
	})
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return soak.Run(ctx, soak.Config{
		Target: s.target(), Admin: s.admin, PID: s.PID(), Log: filepath.Join(r.dir, "vigate.log"),
		Store: filepath.Join(s.data, "vigate.db"), User: adminUser, Password: adminPassword, Idle: l.idle,
		Duration: l.duration, Patience: l.patience, Every: min(2*time.Second, l.duration/40),
		Line:   min(time.Minute, l.duration/4),
		Clones: l.clones, Out: out,
	})
}

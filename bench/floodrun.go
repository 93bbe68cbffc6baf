//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vigate/vigate/bench/flood"
)

// within is the time in which 99 of 100 logins and reads of another user must be served during a
// flood.
const within = time.Second

var errFlood = errors.New("other users are not served in time during a flood")

// runFlood floods vigate for the time d and reports how fast another user is served.
func runFlood(ctx context.Context, dir string, d time.Duration, out io.Writer) error {
	rep, err := floodVigate(ctx, dir, d, 100)
	if rep != nil {
		rep.Print(out)
	}
	if err != nil {
		return fmt.Errorf("flood: %w", err)
	}
	if rep.Refused > 0 || flood.Quantile(rep.Logins, 0.99) > within || flood.Quantile(rep.Reads, 0.99) > within {
		return errFlood
	}
	return nil
}

func floodVigate(ctx context.Context, dir string, d time.Duration, least int) (_ *flood.Report, err error) {
	const patience = 5 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, d+patience+5*time.Minute)
	defer cancel()
	r, err := newRig(ctx, quick, dir, vigateProgram)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	s, err := r.launch("vigate", r.data("flood"), func(s *server) []string {
		return []string{
			"serve", "--data", s.data, "--plain-http", s.plain, "--listen", s.secure, "--admin-listen", s.admin,
			"--log-level", "error",
		}
	})
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return flood.Run(ctx, flood.Config{
		Base: "http://" + s.plain, User: adminUser, Password: adminPassword, Duration: d, Least: least,
		Patience: patience,
	})
}

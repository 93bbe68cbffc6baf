//go:build linux

package soak

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Sample describes the server's resources at one time.
type Sample struct {
	At         time.Duration `json:"at"`       // time since the load began
	Resident   float64       `json:"resident"` // bytes
	Live       float64       `json:"live"`     // bytes of heap after the last collection
	Goroutines float64       `json:"goroutines"`
	Files      float64       `json:"files"` // open files, including connections
	Sessions   float64       `json:"sessions"`
	Store      float64       `json:"store"` // bytes of the store's file
}

// String returns the sample as one line.
func (v Sample) String() string {
	const mib = 1 << 20
	return fmt.Sprintf("resident %3.0f MiB, live %3.0f MiB, %3.0f goroutines, %3.0f files, "+
		"%5.0f sessions, store %3.0f MiB",
		v.Resident/mib, v.Live/mib, v.Goroutines, v.Files, v.Sessions, v.Store/mib)
}

// watch takes samples of the server.
type watch struct {
	Config
	http *http.Client
}

func newWatch(ctx context.Context, c Config) (*watch, error) {
	w := &watch{c, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: callTimeout}}
	// The first sample opens the connection for later ones.
	_, err := w.sample(ctx)
	return w, err
}

func (w *watch) close() { w.http.CloseIdleConnections() }

func (w *watch) sample(ctx context.Context) (Sample, error) {
	m, err := w.metrics(ctx)
	if err != nil {
		return Sample{}, fmt.Errorf("take a sample: %w", err)
	}
	v := Sample{Goroutines: m["go_goroutines"], Sessions: m["vigate_sessions"]}
	// The heap goal of the next collection is the live heap of the last one plus a share for
	// garbage.
	v.Live = m["go_memstats_next_gc_bytes"] * 100 / (100 + m["go_gc_gogc_percent"])
	proc := fmt.Sprintf("/proc/%d/", w.PID)
	status, err := os.ReadFile(proc + "statm")
	if err != nil {
		return v, fmt.Errorf("take a sample: %w", err)
	}
	pages, err := strconv.ParseFloat(string(bytes.Fields(status)[1]), 64)
	if err != nil {
		return v, fmt.Errorf("take a sample: %w", err)
	}
	v.Resident = pages * float64(os.Getpagesize())
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		return v, fmt.Errorf("take a sample: %w", err)
	}
	v.Files = float64(len(files))
	st, err := os.Stat(w.Store)
	if err != nil {
		return v, fmt.Errorf("take a sample: %w", err)
	}
	v.Store = float64(st.Size())
	return v, nil
}

// metrics reads the metrics. The values of a metric with labels are summed.
func (w *watch) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.Admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read metrics: status %d", resp.StatusCode)
	}
	m, err := sums(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	for _, needed := range []string{"go_goroutines", "vigate_sessions", "go_memstats_next_gc_bytes",
		"go_gc_gogc_percent"} {
		if _, ok := m[needed]; !ok {
			return nil, errors.New("read metrics: missing " + needed)
		}
	}
	return m, nil
}

// sums parses the text format of Prometheus.
func sums(r io.Reader) (map[string]float64, error) {
	m := map[string]float64{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		line := s.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("not a metric: %q", line)
		}
		name, _, _ := strings.Cut(line[:i], "{")
		m[name] += v
	}
	return m, s.Err()
}

// logged counts the warnings and errors in a log by message and cause. It ignores the audit log:
// its lines are about responses, which the clients check.
func logged(path string) (map[string]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := map[string]int{}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		if _, ok := field(line, "level="); !ok {
			lines["not a log line"]++ // a crash, or the race detector
		} else if !strings.Contains(line, "level=INFO") && !strings.Contains(line, "level=DEBUG") {
			msg, _ := field(line, "msg=")
			// Audit lines are expected, and so is the count of those that were written at a lower level.
			audit := msg == "audit" || msg == `"lines of one kind were written with the level INFO"`
			if !audit && len(lines) < maxKinds {
				cause, _ := field(line, "err=")
				lines[msg+" "+cause]++
			}
		}
	}
	return lines, s.Err()
}

// field returns the value of a key in a line with key=value pairs.
func field(line, key string) (string, bool) {
	_, rest, ok := strings.Cut(line, key)
	if !ok {
		return "", false
	}
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		return quoted, true
	}
	v, _, _ := strings.Cut(rest, " ")
	return v, true
}

//go:build linux

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/vigate/vigate/bench/figure"
)

// report holds the results of one run.
type report struct {
	Time     time.Time       `json:"time"`
	Machine  string          `json:"machine"`
	Kernel   string          `json:"kernel"`
	Disk     string          `json:"disk"`
	Versions string          `json:"versions"`
	Command  string          `json:"command"`
	Took     string          `json:"took"`
	Others   float64         `json:"others"` // share of the processor time that other processes used
	Options  options         `json:"options"`
	Figures  []figure.Figure `json:"figures"`
}

const peerVersion = "v0.55.0"

func newReport(o options, dir string) *report {
	return &report{
		Time:    time.Now().UTC().Truncate(time.Second),
		Machine: fmt.Sprintf("%s, %d cores, %s", cpuModel(), runtime.NumCPU(), memory()),
		Kernel:  firstLine("/proc/sys/kernel/osrelease"),
		Disk:    fileSystem(dir),
		Versions: fmt.Sprintf("vigate %s, govmomi simulator %s, %s %s/%s",
			commit(), peerVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Command: strings.Join(append([]string{"bench"}, os.Args[1:]...), " "),
		Options: o,
	}
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// field returns the first value of a name in a file of "name : value" lines.
func field(path, name string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func cpuModel() string { return field("/proc/cpuinfo", "model name") }

func memory() string {
	var kb int64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d kB", &kb); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.0f GiB", float64(kb)/(1<<20))
}

// quiet is the maximum share of the processor time that other processes may use.
const quiet = 0.05

const tmpfs = 0x01021994

// fileSystem returns the type of the file system that contains the data.
func fileSystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	names := map[int64]string{0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x794c7630: "overlayfs",
		tmpfs: "tmpfs"}
	return cmp.Or(names[int64(s.Type)], fmt.Sprintf("type %#x", s.Type))
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s; Linux %s; data on %s\n%s\n%s: %d rounds of %v, medians; took %s\n"+
		"other processes used %.0f %% of the processor time\n\n",
		r.Time.Format(time.RFC3339), r.Machine, r.Kernel, r.Disk, r.Versions,
		r.Command, r.Options.Rounds, r.Options.Duration, r.Took, 100*r.Others)
	if r.Others > quiet {
		fmt.Fprintln(w, "THE MACHINE WAS NOT QUIET: these figures prove little")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tfigure\tunit\tfloor\tpeer\tvigate\tratio\tgoal\t\tnote")
	for _, f := range r.Figures {
		ratio := ""
		if f.Ratio != nil {
			ratio = figure.Number(*f.Ratio)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.ID, f.What, f.Unit,
			f.Floor.Text(), f.Peer.Text(), f.Vigate.Text(), ratio, f.GoalText(), f.Result(), f.Note)
	}
	_ = t.Flush() // an error on the terminal can't be reported
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.WriteFile(path, append(bytes.TrimSpace(b), '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	fmt.Fprintf(os.Stderr, "\nwrote %s\n", path)
	return nil
}

//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is the processor time of the machine up to a point in time.
type usage struct {
	all  time.Duration // total time of all cores
	busy time.Duration // time that was used by anyone, including other guests of a hypervisor
	own  time.Duration // time that was used by this process and its children that have ended
}

// used returns the current usage. running are the child processes that have not ended.
func used(running map[*server]bool) (usage, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal …
	if len(f) < 9 || f[0] != "cpu" {
		return usage{}, fmt.Errorf("read /proc/stat: unknown form")
	}
	var u usage
	for i, s := range f[1:9] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("read /proc/stat: %w", err)
		}
		d := time.Duration(n) * 10 * time.Millisecond
		if u.all += d; i != 3 && i != 4 { // idle, iowait
			u.busy += d
		}
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			return usage{}, err
		}
		u.own += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	for s := range running {
		if cpu, err := s.CPU(); err == nil { // after an error, the process has ended and is already counted
			u.own += cpu
		}
	}
	return u, nil
}

// others returns the share of the processor time, 0 to 1, that other processes used since then.
func (u usage) others(since usage) float64 {
	all := u.all - since.all
	if all <= 0 {
		return 0
	}
	return max(0, float64((u.busy-since.busy)-(u.own-since.own))/float64(all))
}

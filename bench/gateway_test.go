//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheSectionOfTheGatewayHasAllItsFigures(t *testing.T) {
	o := options{
		Rounds: 1, Duration: 3 * time.Second, ReadRounds: 1, ReadDuration: 2 * time.Second,
		Crowd: 200, Losing: time.Second,
	}
	r, err := newRig(t.Context(), o, t.TempDir(), vigateProgram, upstreamProgram, proxyProgram)
	if err != nil {
		t.Fatal(err)
	}
	figures, err := gateway(t.Context(), r)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(r.dir, "proxy.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	var got []string
	for _, f := range figures {
		if f.Goal != nil {
			got = append(got, f.ID)
		}
		if f.Goal != nil && len(f.Vigate) == 0 {
			t.Errorf("%s %s was not measured", f.ID, f.What)
		}
		// These don't depend on the speed of the machine.
		exact := f.Unit == "calls" || f.Unit == "sessions"
		if exact && f.Result() != "met" {
			t.Errorf("%s %s: %v, %s", f.ID, f.What, f.Vigate, f.Note)
		}
		t.Logf("%s %s: floor %s, vigate %s, %s %s", f.ID, f.What, f.Floor.Text(), f.Vigate.Text(), f.Result(), f.Note)
	}
	slices.Sort(got)
	if want := "G1 G1 G1 G2 G2 G2 G2 G3 G3 G4 G5 G6"; strings.Join(got, " ") != want {
		t.Errorf("goals %s, want %s", got, want)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

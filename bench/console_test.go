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

func TestTheSectionOfTheConsoleHasAllItsFigures(t *testing.T) {
	o := options{Rounds: 1, List: 2000, Pages: 2, Watchers: 50, Idle: 2 * time.Second}
	r, err := newRig(t.Context(), o, t.TempDir(), vigateProgram, fillProgram)
	if err != nil {
		t.Fatal(err)
	}
	figures, err := console(t.Context(), r)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(r.dir, "vigate.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	var got []string
	for _, f := range figures {
		if f.Goal != nil {
			got = append(got, f.Unit)
		}
		if len(f.Vigate) == 0 {
			t.Errorf("%s %s was not measured", f.ID, f.What)
		}
		// Counts don't depend on the speed of the machine.
		if f.Unit == "events" && f.Result() != "met" {
			t.Errorf("%s: %v, %s", f.What, f.Vigate, f.Note)
		}
		t.Logf("%s %s: %s %s, %s %s", f.ID, f.What, f.Vigate.Text(), f.Unit, f.Result(), f.Note)
	}
	slices.Sort(got)
	if want := "events events ms ms ms ms ms ms ms ms ms/s s s"; strings.Join(got, " ") != want {
		t.Errorf("goals %s, want %s", got, want)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

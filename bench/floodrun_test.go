//go:build linux

package main

import (
	"testing"
)

func TestAUserElsewhereLogsInWhileOthersFloodTheServer(t *testing.T) {
	rep, err := floodVigate(t.Context(), t.TempDir(), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Logins) < 3 || len(rep.Reads) < 3 {
		t.Errorf("%d logins and %d reads", len(rep.Logins), len(rep.Reads))
	}
	for name, answers := range rep.Floods {
		if answers.String() == "" {
			t.Errorf("the flood of %s had no responses", name)
		}
	}
}

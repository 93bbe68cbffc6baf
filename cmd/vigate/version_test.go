package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/process"
)

func TestTheVersionNamesTheCommit(t *testing.T) {
	out, code := vigate(t, "version", "-o", "json")
	var v versionInfo
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.Version != serve.Version ||
		!strings.HasPrefix(v.Go, "go1.") || !strings.Contains(v.Platform, "/") {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if out, code := vigate(t, "version"); code != 0 || !strings.HasPrefix(out, "vigate "+serve.Version+"\n") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, code := vigate(t, "version", "-o", "csv"); code != 2 {
		t.Errorf("an unknown format has exit code %d", code)
	}
	text := versionOf(process.Build{
		Commit: "5afce08", Changed: true, Time: time.Date(2026, 5, 4, 3, 30, 0, 0, time.UTC),
	}).String()
	if !strings.Contains(text, "\nCommit:   5afce08 of 2026-05-04, with changes\n") {
		t.Errorf("text: %s", text)
	}
}

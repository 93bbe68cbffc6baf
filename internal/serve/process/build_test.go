package process

import (
	"runtime/debug"
	"testing"
)

func TestTheBuildIsWhatTheGoCommandNoted(t *testing.T) {
	t.Parallel()
	noted := []debug.BuildSetting{
		{Key: "CGO_ENABLED", Value: "0"}, {Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "5afce08"},
		{Key: "vcs.time", Value: "2026-05-04T03:30:00Z"}, {Key: "vcs.modified", Value: "false"},
	}
	if b := buildOf(noted); b.String() != "5afce08" || b.Changed || b.Time.Year() != 2026 {
		t.Errorf("%+v", b)
	}
	noted[4].Value = "true"
	if b := buildOf(noted); b.String() != "5afce08+changes" {
		t.Errorf("%+v", b)
	}
	if b := buildOf([]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}); b.String() != "" {
		t.Errorf("without a commit: %+v", b)
	}
}

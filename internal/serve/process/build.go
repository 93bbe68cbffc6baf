package process

import (
	"runtime/debug"
	"time"
)

// Build says what the program was built from. A member is empty if that is not known, as in a test.
type Build struct {
	Commit  string    // of the source
	Changed bool      // whether the source had changes that were not committed
	Time    time.Time // of the commit
}

// BuildOf returns what the running program was built from, as the go command has noted it.
func BuildOf() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{}
	}
	return buildOf(info.Settings)
}

func buildOf(settings []debug.BuildSetting) Build {
	var b Build
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Changed = s.Value == "true"
		case "vcs.time":
			// A text that is no time leaves the zero time.
			b.Time, _ = time.Parse(time.RFC3339, s.Value)
		}
	}
	return b
}

// String returns the commit, with "+changes" if there were changes, or "" if it is not known.
func (b Build) String() string {
	if b.Commit != "" && b.Changed {
		return b.Commit + "+changes"
	}
	return b.Commit
}

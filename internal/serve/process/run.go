package process

import (
	"path/filepath"
	"strings"
)

// IsGoRun reports whether path, the first argument of a process, is that of a program which go run has built. Then
// no such program is installed, and whoever wants to run it again has to use go run.
func IsGoRun(path string) bool { return strings.Contains(filepath.ToSlash(path), "/go-build") }

//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package bolt

import "os"

// lock does nothing: bbolt locks the file itself.
func lock(*os.File, bool) error { return nil }

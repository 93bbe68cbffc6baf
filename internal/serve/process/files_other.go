//go:build !unix

package process

// OpenFiles returns false: this system has no such limit.
func OpenFiles() (most uint64, known bool) { return 0, false }

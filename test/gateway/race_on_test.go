//go:build race

package gateway

// raced is whether this program has the race detector.
const raced = true

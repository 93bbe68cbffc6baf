package soap

import (
	"testing"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// ReadFast checks that a client's message is read without encoding/xml, and that the result is the same as
// with it.
func ReadFast(t testing.TB, message []byte) {
	t.Helper()
	if !fast(t, message) {
		t.Errorf("not read fast: %s", message)
	}
}

// Since returns the release that added a member, as the codec knows it.
func Since(m schema.Member) vim.Release { return since(m, releases()) }

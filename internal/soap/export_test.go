package soap

import (
	"testing"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// ReadFast checks that a message of a client's is read without encoding/xml, with the
// same result.
func ReadFast(t testing.TB, message []byte) {
	t.Helper()
	if !fast(t, message) {
		t.Errorf("not read fast: %s", message)
	}
}

// TypeNames are the types of the library.
func TypeNames(t *testing.T) []string { return typeNames(t) }

// Since is the release that brought a member, as the codec knows it.
func Since(m schema.Member) vim.Release { return since(m, releases()) }

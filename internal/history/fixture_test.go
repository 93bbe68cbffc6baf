package history_test

import (
	"testing"

	"github.com/vigate/vigate/internal/vim/vimtest"
)

// fixture adds helpers to the fixture of vimtest.
type fixture struct {
	*vimtest.Fixture
	t *testing.T
}

func newFixture(t *testing.T, edit ...func(*vimtest.Parts)) *fixture {
	t.Helper()
	return &fixture{vimtest.New(t, edit...), t}
}

package vim_test

import (
	"testing"

	"github.com/vigate/vigate/internal/vim/vimtest"
)

// fixture is vimtest's, with the test.
type fixture struct {
	*vimtest.Fixture
	t *testing.T
}

func newFixture(t *testing.T, edit ...func(*vimtest.Parts)) *fixture {
	t.Helper()
	return &fixture{vimtest.New(t, edit...), t}
}

package vim_test

import (
	"testing"

	"github.com/vigate/vigate/internal/vim"
)

func TestAReleaseIsUpToFourNumbers(t *testing.T) {
	for s, want := range map[string]vim.Release{
		"8.0.1.0": {8, 0, 1, 0}, "9": {9}, "6.5": {6, 5}, "10.20.300.65535": {10, 20, 300, 65535}, "0.0.0.0": {},
	} {
		if got, err := vim.ParseRelease(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", ".", "8.", ".8", "8..1", "8.0.1.0.", "8.0.1.0.0", "08", "8.00", "8.0.1.x", "-8", "+8", "8.0.1.0 ",
		"65536", "99999999999999999999", "８",
	} {
		if got, err := vim.ParseRelease(s); err == nil {
			t.Errorf("%q is release %v", s, got)
		}
	}
}

package cli

import (
	"slices"
	"testing"

	"github.com/vigate/vigate/internal/config"
)

// A key that the table of options names can be pasted into the configuration.
func TestTheKeysOfOptionsAreKeysOfTheConfiguration(t *testing.T) {
	t.Parallel()
	named := 0
	for option, f := range known {
		if f.key == "" {
			continue
		}
		named++
		if !slices.ContainsFunc(config.Keys(), func(k config.Key) bool { return k.Name == f.key }) {
			t.Errorf("%s: there is no key %s", option, f.key)
		}
	}
	if named < 15 {
		t.Errorf("only %d options have keys", named)
	}
}

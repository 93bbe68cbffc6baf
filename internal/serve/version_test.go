package serve

import (
	"strconv"
	"testing"
)

func TestTheBuildIsANumberAsClientsExpect(t *testing.T) {
	for version, want := range map[string]string{"0.1.0": "1000", "1.2.3": "1002003", "2.0.0-rc1": "2000", "dev": "0"} {
		if got := buildNumber(version); got != want {
			t.Errorf("version %s is build %s, want %s", version, got, want)
		}
	}
	if _, err := strconv.Atoi(about().Build); err != nil {
		t.Error(err)
	}
}

package serve

import (
	"strconv"
	"strings"
	"testing"
)

func TestTheBuildIsANumberAsClientsExpect(t *testing.T) {
	for version, want := range map[string]string{"0.1.0": "1000", "1.2.3": "1002003", "2.0.0-rc1": "2000", "dev": "0"} {
		if got := buildNumber(version); got != want {
			t.Errorf("version %s is build %s, want %s", version, got, want)
		}
	}
	a := about()
	if _, err := strconv.Atoi(a.Build); err != nil {
		t.Error(err)
	}
	if !strings.Contains(a.FullName, Version) {
		t.Errorf("the full name %q is without vigate's version %s", a.FullName, Version)
	}
	if a.LicenseProductName == "" || a.PatchLevel == "" || !strings.HasPrefix(a.Version, a.LicenseProductVersion+".") {
		t.Errorf("a member that clients read is not there: %+v", a)
	}
}

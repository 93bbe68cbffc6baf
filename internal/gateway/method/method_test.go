package method_test

import (
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/method"
)

func TestMethodsThatChangeSomethingAreNoReads(t *testing.T) {
	for name, want := range map[string]bool{
		"RetrievePropertiesEx": true, "QueryEvents": true, "FindByUuid": true, "Fetch": true,
		"CurrentTime":            true,
		"HasPrivilegeOnEntities": true, "PowerOnVM_Task": false, "QueryCompliance_Task": false, "Findings": false,
		"ReadNextEvents": false, "CheckForUpdates": false, "Getaway": false, "Destroy_Task": false,
	} {
		if got := method.OnlyReads(name); got != want {
			t.Errorf("%s only reads: %v", name, got)
		}
	}
}

func TestEveryMethodOfTheTableIsOneOfTheAPIAndWhatItMakesCanBeDestroyed(t *testing.T) {
	known := types.TypeFunc()
	made := 0
	for name := range method.Names {
		if _, ok := known(name); !ok {
			t.Errorf("the API has no %s", name)
		}
		m := method.Of(name)
		if m.Makes == "" {
			continue
		}
		made++
		end := method.Ends[m.Makes]
		if !method.Of(end).Destroys {
			t.Errorf("%s makes a %s, which %q does not end", name, m.Makes, end)
		}
	}
	if made < 10 {
		t.Errorf("only %d methods make something", made)
	}
}

func TestOnlyNamesOfTheAPIBecomeLabels(t *testing.T) {
	for name, want := range map[string]string{
		"CreateFilter": "CreateFilter", "PowerOnVM_Task": "PowerOnVM_Task", "Fetch": "Fetch",
		"CurrentTime": "CurrentTime",
		"Mine":        "other", "VirtualMachineConfigSpec": "other", "": "other", strings.Repeat("a", 99): "other",
	} {
		if got := method.Label(name); got != want {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}

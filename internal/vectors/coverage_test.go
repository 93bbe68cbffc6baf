package vectors

import (
	"testing"

	"github.com/vigate/vigate/internal/vim"
)

// never are the faults that the API names for an operation and this server has
// no cause to give.
var never = map[string]string{
	"SessionManager.CloneSession NotSupported": "sessions can always be cloned",
}

// whole are the objects whose operations all have their vectors.
var whole = []string{"SessionManager", "ServiceInstance", "HostLocalAccountManager", "UserDirectory"}

func TestEveryOperationHasAVectorForItsSuccessAndEachOfItsFaults(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	api := NewWorld(t).API
	var objects []*vim.Object
	for _, typ := range whole {
		objects = append(objects, api.Object(typ))
	}
	for _, missing := range Uncovered(objects, all) {
		if never[missing] == "" {
			t.Errorf("no vector shows %s", missing)
		}
	}
}

func TestAFaultThatIsNeverGivenIsShownByNoVector(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		for _, s := range v.Steps {
			if never[s.shows()] != "" {
				t.Errorf("%s shows %s", v.Name, s.shows())
			}
		}
	}
}

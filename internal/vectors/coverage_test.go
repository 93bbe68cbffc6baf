package vectors

import "testing"

// never lists the faults that the API names for an operation although no vector can show them.
var never = map[string]string{
	"VigateTokenService.ReplaceSigningKey LimitExceeded": "it takes 16 keys, and each takes long to make; package " +
		"manager of the token service tests it",
	"SessionManager.CloneSession NotSupported": "sessions can always be cloned",
	"PropertyCollector.WaitForUpdatesEx RequestCanceled": "another call cancels it while it waits; a vector makes " +
		"one call at a time",
}

func TestEveryOperationHasAVectorForItsSuccessAndEachOfItsFaults(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, missing := range uncovered(NewWorld(t).API.Objects(), all) {
		if never[missing] == "" {
			t.Errorf("no vector shows %s", missing)
		}
	}
}

func TestNoVectorShowsAFaultThatIsListedAsImpossible(t *testing.T) {
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

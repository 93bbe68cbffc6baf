package vectors

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/vim"
)

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

// uncovered lists what the rows of the objects can do and no vector shows: the success of each
// operation, each of its faults, and its refusal to callers without the privilege.
func uncovered(objects []*vim.Object, all []Vector) []string {
	shown := map[string]bool{}
	for _, v := range all {
		for _, s := range v.Steps {
			shown[s.shows()] = true
		}
	}
	var missing []string
	want := func(what string) {
		if !shown[what] {
			missing = append(missing, what)
		}
	}
	for _, o := range objects {
		for _, p := range o.Properties {
			want(o.Type + "." + p.Name)
			for _, fault := range refusals(p.Privilege) {
				want(o.Type + "." + p.Name + " " + fault)
			}
		}
		for _, m := range o.Methods {
			if m.Name != "LoginExtension" { // the operation never succeeds
				want(o.Type + "." + m.Name)
			}
			faults := append(refusals(m.Privilege), m.Faults...)
			slices.Sort(faults)
			for _, fault := range slices.Compact(faults) {
				want(o.Type + "." + m.Name + " " + fault)
			}
		}
	}
	return missing
}

// refusals returns the faults of a row that follow from its privilege.
func refusals(privilege access.Privilege) []string {
	switch privilege {
	case vim.Anonymous:
		return nil
	case vim.View:
		return []string{"NotAuthenticated"}
	}
	return []string{"NotAuthenticated", "NoPermission"}
}

// shows returns TYPE.NAME for a step that expects a success, TYPE.NAME FAULT for a step that
// expects a fault, and "" for any other step.
func (s Step) shows() string {
	if s.Want == "" {
		return ""
	}
	object, name, _ := cutLast(s.Rest)
	typ, _, _ := strings.Cut(object, "/")
	what := typ + "." + name
	if s.Want == "fault" {
		var f struct {
			Type string `json:"_typeName"`
		}
		_ = json.Unmarshal(s.JSON, &f) // the JSON was checked by the parser
		what += " " + f.Type
	}
	return what
}

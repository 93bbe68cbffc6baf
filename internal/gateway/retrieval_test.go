package gateway_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// retrieve reads properties.
func (c *client) retrieve(spec types.PropertyFilterSpec) ([]types.ObjectContent, error) {
	r, err := methods.RetrieveProperties(c.s.ctx(), c.Client, &types.RetrieveProperties{
		This: c.ServiceContent.PropertyCollector, SpecSet: []types.PropertyFilterSpec{spec},
	})
	if err != nil {
		return nil, err
	}
	return r.Returnval, nil
}

func TestPropertiesOfTheSessionManagerAreTheFrontsHoweverTheyAreReached(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	manager := *c.ServiceContent.SessionManager
	instance := types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}
	props := []types.PropertySpec{
		{Type: "SessionManager", PathSet: []string{"currentSession.key", "currentSession"}},
		{Type: "Folder", PathSet: []string{"name"}},
	}
	byTraversal := []types.BaseSelectionSpec{
		&types.TraversalSpec{Type: "ServiceInstance", Path: "content.sessionManager"},
	}
	for name, objects := range map[string][]types.ObjectSpec{
		"beside others": {{Obj: c.ServiceContent.RootFolder}, {Obj: manager}},
		"alone":         {{Obj: manager}},
		"by traversal":  {{Obj: instance, Skip: types.NewBool(true), SelectSet: byTraversal}},
	} {
		got, err := c.retrieve(types.PropertyFilterSpec{PropSet: props, ObjectSet: objects})
		if err != nil || len(got) == 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		last := got[len(got)-1]
		if len(got) == 2 && (got[0].Obj != c.ServiceContent.RootFolder || got[0].PropSet[0].Val != "Datacenters") {
			t.Errorf("%s: first %+v", name, got[0])
		}
		if last.Obj != manager || len(last.PropSet) != 2 {
			t.Errorf("%s: %+v", name, last)
			continue
		}
		for _, p := range last.PropSet {
			key, _ := p.Val.(string)
			if me, ok := p.Val.(types.UserSession); ok {
				key = me.Key
			}
			if key != c.key {
				t.Errorf("%s: %s is %+v", name, p.Name, p.Val)
			}
		}
	}
}

func TestAllPropertiesOfTheSessionManagerShowNoSessionOfTheUpstream(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	got, err := c.retrieve(types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "SessionManager", All: types.NewBool(true)}},
		ObjectSet: []types.ObjectSpec{{Obj: *c.ServiceContent.SessionManager}},
	})
	s.must(err)
	var names []string
	for _, p := range got[0].PropSet {
		names = append(names, p.Name)
		if me, ok := p.Val.(types.UserSession); ok && me.Key != c.key {
			t.Errorf("%s is %+v", p.Name, me)
		}
	}
	if !slices.Contains(names, "currentSession") || !slices.Contains(names, "supportedLocaleList") ||
		slices.Contains(names, "sessionList") || len(got[0].MissingSet) == 0 {
		t.Errorf("properties %q, missing %+v", names, got[0].MissingSet)
	}
}

func TestWhatAFrontCannotReportIsRefusedWithAReason(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	_, err := methods.CreateFilter(s.ctx(), c.Client, &types.CreateFilter{
		This: c.ServiceContent.PropertyCollector, Spec: types.PropertyFilterSpec{
			PropSet:   []types.PropertySpec{{Type: "SessionManager", PathSet: []string{"currentSession"}}},
			ObjectSet: []types.ObjectSpec{{Obj: *c.ServiceContent.SessionManager}},
		},
	})
	if !isFault[types.NotSupported](err) || !strings.Contains(err.Error(), "SessionManager") {
		t.Errorf("a filter on SessionManager: %v", err)
	}
	_, err = c.retrieve(types.PropertyFilterSpec{
		PropSet: []types.PropertySpec{{Type: "ContainerView", PathSet: []string{"view"}}},
		ObjectSet: []types.ObjectSpec{{Obj: *c.ServiceContent.ViewManager, SelectSet: []types.BaseSelectionSpec{
			&types.TraversalSpec{Type: "ViewManager", Path: "viewList"},
		}}},
	})
	if !isFault[types.NotSupported](err) {
		t.Errorf("a traversal to the views of others: %v", err)
	}
}

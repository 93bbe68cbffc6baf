package matrix

import (
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

// TestEveryRowIsRefusedOverBothBindings makes all calls of the matrix that must be refused, over VI
// JSON and over SOAP. At the end the callers that lost their authority get it back and must find
// their own objects unchanged.
func TestEveryRowIsRefusedOverBothBindings(t *testing.T) {
	w := newWorld(t)
	h := w.handler()
	all := w.callers(w.named("SessionManager.sessionList"))
	for _, r := range rowsOf(w.API) {
		for _, c := range all {
			if c.may(r) {
				continue
			}
			request := w.request(c, r)
			before := w.store.newest(t)
			for _, on := range c.objectsOf(r) {
				for _, b := range bindings {
					got, err := b.call(w, h, c.token, on, r.name, request)
					if err != nil || got.fault != c.refusal() || got.privilege != r.privilege {
						t.Errorf("%s as %s over %s: got %s, %v, want %s for lack of %s",
							r, c, b.name, got, err, c.refusal(), r.privilege)
					}
					// A request that can't be decoded is refused for that reason only.
					got, err = b.call(w, h, c.token, on, r.name, r.empty())
					if err != nil || !slices.Contains([]string{c.refusal(), "InvalidRequest", "InvalidArgument"},
						got.fault) {
						t.Errorf("%s as %s over %s, with an empty request: got %s, %v, want %s",
							r, c, b.name, got, err, c.refusal())
					}
				}
			}
			if w.store.newest(t) != before {
				t.Errorf("%s as %s: the call was refused, but it wrote to the store", r, c)
			}
		}
	}
	w.mustHaveKept(all)
}

// keeper maps a type to a property that shows whether an object of the type exists.
var keeper = map[string]string{
	"PropertyCollector": "filter", "PropertyFilter": "spec", "EventHistoryCollector": "filter",
	"ListView": "view", "ContainerView": "view",
}

// mustHaveKept checks that the callers' own objects are unchanged.
func (w *world) mustHaveKept(all []*caller) {
	w.t.Helper()
	kept := 0
	for _, c := range all {
		if c.restore == nil {
			continue
		}
		c.restore()
		for typ, ref := range c.objects {
			if got := w.do(c.token, ref, keeper[typ], nil); got.fault != nil {
				w.t.Errorf("%s: its %s no longer exists: %s", c, typ, got)
			}
		}
		for name, n := range map[string]int{"ViewManager.viewList": 2, "PropertyCollector.filter": 1} {
			r := w.named(name)
			got := w.do(c.token, r.object.Ref(), r.name, nil)
			if refs, _ := got.value.([]reference); len(refs) != n {
				w.t.Errorf("%s: %s is %v, want %d objects", c, r, got.value, n)
			}
		}
		kept++
	}
	if kept == 0 {
		w.t.Error("no caller regained its authority")
	}
}

// TestAPropertyIsTheSameByEveryWayOfReadingIt reads each property as each kind of caller in several
// ways: with GET, with Fetch, and with RetrievePropertiesEx over both bindings.
func TestAPropertyIsTheSameByEveryWayOfReadingIt(t *testing.T) {
	w := newWorld(t)
	h := w.handler()
	for _, r := range rowsOf(w.API) {
		if !r.read() {
			continue
		}
		for _, c := range w.readers() {
			for _, on := range c.objectsOf(r) {
				want, err := callJSON(w, h, c.token, on, r.name, nil)
				if err != nil {
					t.Errorf("%s as %s: %v", r, c, err)
				}
				if refused := want.fault != ""; refused == c.may(r) && (c.live || on.Value == r.object.ID) {
					t.Errorf("%s as %s: got %s", r, c, want)
				}
				if got, err := callSOAP(w, h, c.token, on, r.name, nil); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s as %s: Fetch gives %s, %v; GET gives %s", r, c, got, err, want)
				}
				for _, b := range bindings {
					got, err := retrieve(w, h, b, c.token, on, r.name)
					if !c.live && on.Value != r.object.ID && got.fault == "ManagedObjectNotFound" {
						continue // the object belongs to none of the caller's sessions
					}
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("%s as %s: RetrievePropertiesEx over %s gives %s, %v; GET gives %s",
							r, c, b.name, got, err, want)
					}
				}
			}
		}
	}
}

// readers returns the callers. They are made only once.
func (w *world) readers() []*caller {
	if w.all == nil {
		w.all = w.callers(w.named("SessionManager.sessionList"))
	}
	return w.all
}

// retrieve reads one property with the property collector.
func retrieve(w *world, h http.Handler, b wireBinding, token string, on reference, name string) (wire, error) {
	request := &types.RetrievePropertiesExRequestType{SpecSet: []types.PropertyFilterSpec{spec(on, name)}}
	got, err := b.call(w, h, token, w.ref("PropertyCollector"), "RetrievePropertiesEx", request)
	if err != nil || got.fault != "" {
		return got, err
	}
	result, _ := got.value.(map[string]any)
	objects, _ := result["objects"].([]any)
	if len(objects) != 1 {
		return got, nil
	}
	object, _ := objects[0].(map[string]any)
	if set, _ := object["propSet"].([]any); len(set) == 1 {
		return wire{value: set[0].(map[string]any)["val"]}, nil
	}
	if set, _ := object["missingSet"].([]any); len(set) == 1 {
		return faultOf(set[0].(map[string]any)["fault"].(map[string]any)["fault"])
	}
	return wire{}, nil
}

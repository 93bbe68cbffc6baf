package vectors_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// published are the types of managed objects that are served, as the library has them:
// clients ask for every property that these have.
var published = map[string]any{
	"AuthorizationManager":    mo.AuthorizationManager{},
	"ContainerView":           mo.ContainerView{},
	"EventHistoryCollector":   mo.EventHistoryCollector{},
	"EventManager":            mo.EventManager{},
	"ExtensionManager":        mo.ExtensionManager{},
	"Folder":                  mo.Folder{},
	"HostLocalAccountManager": mo.HostLocalAccountManager{},
	"ListView":                mo.ListView{},
	"OptionManager":           mo.OptionManager{},
	"PropertyCollector":       mo.PropertyCollector{},
	"PropertyFilter":          mo.PropertyFilter{},
	"SearchIndex":             mo.SearchIndex{},
	"ServiceInstance":         mo.ServiceInstance{},
	"SessionManager":          mo.SessionManager{},
	"UserDirectory":           mo.UserDirectory{},
	"ViewManager":             mo.ViewManager{},
}

// newer are the properties of published types that are newer than the library's.
var newer = map[string][]string{"EventHistoryCollector": {"initialized"}}

// properties lists those of a type.
func properties(t reflect.Type) (all []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			all = append(all, properties(f.Type)...)
		case name != "self":
			all = append(all, name)
		}
	}
	return all
}

// walk is a server that is asked for every property of every object.
type walk struct {
	*vectors.World
	t     *testing.T
	mux   *http.ServeMux
	token string
}

func (w *walk) serve(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("vmware-api-session-id", w.token)
	r.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	a := httptest.NewRecorder()
	w.mux.ServeHTTP(a, r.WithContext(peer.With(r.Context(), &w.Peer)))
	return a
}

// make calls a method that makes an object of the caller's session.
func (w *walk) make(on, method, body string) (made types.ManagedObjectReference) {
	w.t.Helper()
	a := w.serve("POST", vijson.Root+"8.0.3.0/"+on+"/"+w.ID(on)+"/"+method, body)
	if err := json.Unmarshal(a.Body.Bytes(), &made); a.Code != 200 || err != nil {
		w.t.Fatalf("%s: %d %s", method, a.Code, a.Body)
	}
	return made
}

// asJSON is a reference in VI JSON.
func asJSON(ref types.ManagedObjectReference) string {
	return fmt.Sprintf(`{"_typeName":"ManagedObjectReference","type":%q,"value":%q}`, ref.Type, ref.Value)
}

// filterSpec asks for a property of an object.
func filterSpec(ref types.ManagedObjectReference, name string) string {
	return fmt.Sprintf(`{"_typeName":"PropertyFilterSpec",`+
		`"propSet":[{"_typeName":"PropertySpec","type":%q,"pathSet":[%q]}],`+
		`"objectSet":[{"_typeName":"ObjectSpec","obj":%s}]}`, ref.Type, name, asJSON(ref))
}

// objects are one of each type that is served.
func (w *walk) objects() (all []types.ManagedObjectReference) {
	for _, o := range w.API.Objects() {
		if o.ID != "" {
			all = append(all, o.Ref())
		}
	}
	root := vim.RootFolder()
	return append(all,
		w.make("EventManager", "CreateCollectorForEvents", `{"filter":{"_typeName":"EventFilterSpec"}}`),
		w.make("PropertyCollector", "CreateFilter", `{"spec":`+filterSpec(root, "name")+`,"partialUpdates":false}`),
		w.make("ViewManager", "CreateListView", ""),
		w.make("ViewManager", "CreateContainerView", `{"container":`+asJSON(root)+`,"recursive":true}`),
	)
}

// retrieved asks for a property by way of the collector: by RetrievePropertiesEx, and
// by a filter that is waited for. It returns what is wrong.
func (w *walk) retrieved(ref types.ManagedObjectReference, name string) error {
	spec := filterSpec(ref, name)
	const collector = vijson.Root + "8.0.3.0/PropertyCollector/propertyCollector/"
	a := w.serve("POST", collector+"RetrievePropertiesEx", `{"specSet":[`+spec+`],"options":{}}`)
	if a.Code != 200 || strings.Contains(a.Body.String(), "missingSet") {
		return fmt.Errorf("RetrievePropertiesEx: %d %s", a.Code, a.Body)
	}
	a = w.serve("POST", collector+"CreateFilter", `{"spec":`+spec+`,"partialUpdates":false}`)
	if a.Code != 200 {
		return fmt.Errorf("CreateFilter: %d %s", a.Code, a.Body)
	}
	var filter types.ManagedObjectReference
	if err := json.Unmarshal(a.Body.Bytes(), &filter); err != nil {
		return err
	}
	of := vijson.Root + "8.0.3.0/PropertyFilter/" + url.PathEscape(filter.Value)
	defer w.serve("POST", of+"/DestroyPropertyFilter", "")
	a = w.serve("POST", collector+"WaitForUpdatesEx", `{"options":{"maxWaitSeconds":0}}`)
	if a.Code != 200 || strings.Contains(a.Body.String(), "missingSet") {
		return fmt.Errorf("WaitForUpdatesEx: %d %s", a.Code, a.Body)
	}
	return nil
}

// Clients ask for any property that the published type of an object has. One that is
// optional, and that has no value here, is unset; none is a fault.
func TestEveryPropertyOfThePublishedTypesIsKnown(t *testing.T) {
	w := &walk{World: vectors.NewWorld(t), t: t, mux: http.NewServeMux()}
	bodies := binding.NewBodies(0)
	vijson.Mount(w.mux, w.API, bodies)
	soap.Mount(w.mux, w.API, bodies, soap.Options{Version: vimtest.APIVersion})
	var err error
	if w.token, err = w.Token("administrator"); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, ref := range w.objects() {
		if strings.HasPrefix(ref.Type, "Vigate") {
			continue // vigate's own
		}
		typ, ok := published[ref.Type]
		if !ok {
			t.Errorf("%s is served, and no published type is known for it", ref.Type)
			continue
		}
		asked[ref.Type] = true
		for _, name := range slices.Concat(properties(reflect.TypeOf(typ)), newer[ref.Type]) {
			path := vijson.Root + "8.0.3.0/" + ref.Type + "/" + url.PathEscape(ref.Value) + "/" + name
			if a := w.serve("GET", path, ""); a.Code != 200 && (a.Code != 204 || a.Body.Len() > 0) {
				t.Errorf("GET %s: %d %s", path, a.Code, a.Body)
			}
			fetch := `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fetch xmlns="urn:vim25">` +
				`<_this type="` + ref.Type + `">` + ref.Value + `</_this><prop>` + name + `</prop>` +
				`</Fetch></Body></Envelope>`
			if a := w.serve("POST", "/sdk", fetch); a.Code != 200 {
				t.Errorf("Fetch %s.%s: %d %s", ref.Type, name, a.Code, a.Body)
			}
			if err := w.retrieved(ref, name); err != nil {
				t.Errorf("%s.%s: %v", ref.Type, name, err)
			}
		}
	}
	for _, o := range w.API.Objects() {
		if !asked[o.Type] && !strings.HasPrefix(o.Type, "Vigate") {
			t.Errorf("no object of type %s was asked", o.Type)
		}
	}
}

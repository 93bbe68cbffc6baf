package soap_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim"
)

// served collects, by name, the data types that a response may contain.
type served struct {
	types map[string]reflect.Type
}

// add adds a type, and the types of its members.
func (s *served) add(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		s.add(t.Elem())
		return
	case reflect.Func: // iter.Seq, a list that is sent while it is encoded
		s.add(t.In(0).In(0))
		return
	case reflect.Interface:
		s.under(t)
		return
	}
	if !schema.IsObject(t) || s.types[t.Name()] != nil {
		return
	}
	s.types[t.Name()] = t
	for _, m := range schema.Of(t, "xml").Members {
		s.add(m.Field.Type)
	}
}

// manifold are the interfaces of whose many types a server creates only a few.
var manifold = []string{"BaseEvent", "BaseMethodFault"}

// under adds the types that implement an interface.
func (s *served) under(iface reflect.Type) {
	base, ok := schema.Declared(iface)
	if !ok {
		return // anyType
	}
	s.add(base)
	if slices.Contains(manifold, iface.Name()) {
		return // made finds those that are created
	}
	for _, name := range schema.Names() {
		if t, ok := types.TypeFunc()(name); ok && t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(iface) {
			s.add(t)
		}
	}
}

// made returns the types of the faults and events that the packages of the managed objects create.
func made(t *testing.T) (all []reflect.Type) {
	event, fault := reflect.TypeFor[types.BaseEvent](), reflect.TypeFor[types.BaseMethodFault]()
	for _, dir := range []string{
		"vim", "sessionmanager", "inventory", "admin", "history", "property", "cluster",
		"sts/manager",
	} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, path := range files {
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				made, ok := types.TypeFunc()(s.Sel.Name)
				if x, is := s.X.(*ast.Ident); is && x.Name == "types" && ok && made.Kind() == reflect.Struct {
					if p := reflect.PointerTo(made); p.Implements(event) || p.Implements(fault) {
						all = append(all, made)
					}
				}
				return true
			})
		}
	}
	return all
}

// servedTypes collects the types that occur in the rows of all objects.
func servedTypes(t *testing.T) map[string]reflect.Type {
	s := &served{map[string]reflect.Type{}}
	for _, o := range vectors.NewWorld(t).API.Objects() {
		for _, m := range o.Methods {
			if m.Result != nil {
				s.add(m.Result)
			}
		}
		for _, p := range o.Properties {
			s.add(p.Type)
		}
	}
	for _, made := range made(t) {
		s.add(made)
	}
	// The types of the values that the server puts where anyType is declared.
	for _, v := range []any{types.EventFilterSpec{}, types.OptionValue{}, types.KeyAnyValue{}} {
		s.add(reflect.TypeOf(v))
	}
	return s.types
}

// known reads testdata/members.txt: the releases that added the types, and the releases that added their
// members.
func known(t *testing.T) (ofTypes, ofMembers map[string]vim.Release) {
	text, err := os.ReadFile("testdata/members.txt")
	if err != nil {
		t.Fatal(err)
	}
	ofTypes, ofMembers = map[string]vim.Release{}, map[string]vim.Release{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		release, err := vim.ParseRelease(words[1])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if old, ok := ofTypes[words[0]]; !ok || release.Before(old) {
			ofTypes[words[0]] = release
		}
		for _, member := range words[2:] {
			ofMembers[words[0]+"."+member] = release
		}
	}
	return ofTypes, ofMembers
}

// The server leaves out the members that are newer than the caller's release. So the release of each member
// must be known, from the library's mark or from the codec's table.
func TestTheReleaseOfEveryServedMemberIsKnown(t *testing.T) {
	ofTypes, ofMembers := known(t)
	seen := map[string]bool{}
	for _, typ := range servedTypes(t) {
		if typ == schema.Reference || !strings.HasPrefix(typ.PkgPath(), "github.com/vmware/") {
			continue // vigate's own types have no releases
		}
		if _, ok := ofTypes[typ.Name()]; !ok {
			t.Errorf("%s is served, and testdata/members.txt does not say which release brought it", typ.Name())
		}
		seen[typ.Name()] = true
		for _, m := range schema.Of(typ, "xml").Members {
			name := m.Owner.Name() + "." + m.Name
			seen[name], seen[m.Owner.Name()] = true, true
			if m.Field.Tag.Get("vim") != "" {
				if since := soap.Since(m); since == (vim.Release{}) {
					t.Errorf("the mark of %s is not read", name)
				}
				continue
			}
			want, ok := ofMembers[name]
			if !ok {
				t.Errorf("%s is served, and testdata/members.txt does not say which release brought it", name)
			}
			if !(vim.Release{4}).Before(want) || want == ofTypes[m.Owner.Name()] {
				want = vim.Release{} // every client that knows the type knows it
			}
			if since := soap.Since(m); since != want {
				t.Errorf("%s is of %v, and %v is known", name, want, since)
			}
		}
	}
	for name := range ofMembers {
		if !seen[name] {
			t.Errorf("testdata/members.txt has %s, which is not served", name)
		}
	}
	for name := range ofTypes {
		if !seen[name] {
			t.Errorf("testdata/members.txt has %s, which is not served", name)
		}
	}
}

// A client of an old version gets only the members of a session that this version has.
func TestMembersOfASessionThatAreNewerThanTheCallerAreLeftOut(t *testing.T) {
	s := newSite(t)
	token, err := s.Token("administrator")
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string][2]bool{
		"urn:vim25/4.0": {}, "urn:vim25/4.1": {}, "urn:vim25/5.0": {true, false}, "urn:vim25/5.1": {true, true},
		"urn:vim25/6.7.1": {true, true}, "urn:vim25/8.0.3.0": {true, true},
	} {
		for how, message := range map[string]string{
			"Fetch": `<Fetch xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>` +
				`<prop>currentSession</prop></Fetch>`,
			"list": `<Fetch xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>` +
				`<prop>sessionList</prop></Fetch>`,
			"retrieve": `<RetrieveProperties xmlns="urn:vim25"><_this ` +
				`type="PropertyCollector">propertyCollector</_this><specSet>` +
				`<propSet><type>SessionManager</type><pathSet>currentSession</pathSet></propSet>` +
				`<objectSet><obj type="SessionManager">SessionManager</obj></objectSet></specSet></RetrieveProperties>`,
		} {
			d := dialects["PHP, and govc's holder-of-key login: no namespace"]
			w := s.post("/sdk", said(d.envelope, "", message), token, map[string]string{"SOAPAction": action})
			got := w.Body.String()
			has := [2]bool{strings.Contains(got, "<extensionSession>"), strings.Contains(got, "<ipAddress>")}
			if w.Code != 200 || has != want || !strings.Contains(got, "<messageLocale>en</messageLocale>") ||
				has[1] != strings.Contains(got, "<userAgent>") || has[1] != strings.Contains(got, "<callCount>") {
				t.Errorf("%s of %s: %v, want %v: %s", how, action, has, want, got)
			}
		}
	}
}

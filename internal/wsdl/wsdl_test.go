package wsdl_test

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/implied"
	"github.com/vigate/vigate/internal/wsdl"
)

// The elements of a description that the tests look at.
type (
	xsdElement struct {
		Name      string `xml:"name,attr"`
		Type      string `xml:"type,attr"`
		MinOccurs string `xml:"minOccurs,attr"`
		MaxOccurs string `xml:"maxOccurs,attr"`
		Inner     struct {
			Elements []xsdElement `xml:"sequence>element"`
		} `xml:"complexType"`
	}
	xsdType struct {
		Name     string       `xml:"name,attr"`
		Elements []xsdElement `xml:"sequence>element"`
		Derived  struct {
			Base     string       `xml:"base,attr"`
			Elements []xsdElement `xml:"sequence>element"`
		} `xml:"complexContent>extension"`
		Text struct {
			Base string `xml:"base,attr"`
		} `xml:"simpleContent>extension"`
		Values []struct {
			Value string `xml:"value,attr"`
		} `xml:"restriction>enumeration"`
	}
	xsdFile struct {
		Includes []struct {
			Location string `xml:"schemaLocation,attr"`
		} `xml:"include"`
		Elements []xsdElement `xml:"element"`
		Complex  []xsdType    `xml:"complexType"`
		Simple   []xsdType    `xml:"simpleType"`
	}
	named struct {
		Name    string `xml:"name,attr"`
		Message string `xml:"message,attr"`
	}
	wsdlOperation struct {
		Name   string  `xml:"name,attr"`
		Input  named   `xml:"input"`
		Output named   `xml:"output"`
		Faults []named `xml:"fault"`
		SOAP   struct {
			Action string `xml:"soapAction,attr"`
		} `xml:"http://schemas.xmlsoap.org/wsdl/soap/ operation"`
	}
	wsdlFile struct {
		Schema   xsdFile `xml:"types>schema"`
		Messages []struct {
			Name  string `xml:"name,attr"`
			Parts []struct {
				Element string `xml:"element,attr"`
			} `xml:"part"`
		} `xml:"message"`
		Operations []wsdlOperation `xml:"portType>operation"`
		Bound      []wsdlOperation `xml:"binding>operation"`
	}
)

// description is what the files of a description say, by name.
type description struct {
	t          *testing.T
	types      map[string]xsdType
	elements   map[string]xsdElement
	messages   map[string]string // the element of each
	operations map[string]wsdlOperation
	bound      map[string]wsdlOperation
}

// read reads all files, beginning with vim.wsdl. Nothing may be there twice.
func read(t *testing.T, d *wsdl.Documents) *description {
	t.Helper()
	r := &description{t, map[string]xsdType{}, map[string]xsdElement{}, map[string]string{},
		map[string]wsdlOperation{}, map[string]wsdlOperation{}}
	var w wsdlFile
	r.decode(d, "vim.wsdl", &w)
	r.schema(d, w.Schema, map[string]bool{})
	for _, m := range w.Messages {
		if len(m.Parts) != 1 {
			t.Errorf("message %s has %d parts", m.Name, len(m.Parts))
		}
		once(t, r.messages, m.Name, m.Parts[0].Element)
	}
	for _, o := range w.Operations {
		once(t, r.operations, o.Name, o)
	}
	for _, o := range w.Bound {
		once(t, r.bound, o.Name, o)
	}
	return r
}

func once[T any](t *testing.T, all map[string]T, name string, v T) {
	t.Helper()
	if _, again := all[name]; again {
		t.Errorf("%s is there twice", name)
	}
	all[name] = v
}

func (r *description) decode(d *wsdl.Documents, name string, into any) {
	r.t.Helper()
	f := d.File(name)
	if f == nil {
		r.t.Fatalf("there is no file %s", name)
	}
	if err := xml.Unmarshal(f.Plain, into); err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
}

// schema adds what a schema has, after the files that it includes. Whatever it refers to must be in it or in
// these.
func (r *description) schema(d *wsdl.Documents, s xsdFile, done map[string]bool) {
	r.t.Helper()
	for _, include := range s.Includes {
		if !done[include.Location] {
			done[include.Location] = true
			var f xsdFile
			r.decode(d, include.Location, &f)
			r.schema(d, f, done)
		}
	}
	for _, t := range slices.Concat(s.Complex, s.Simple) {
		once(r.t, r.types, t.Name, t)
	}
	for _, e := range s.Elements {
		once(r.t, r.elements, e.Name, e)
		r.refers(e.Name, e.Type)
		r.members(e.Name, e.Inner.Elements)
	}
	for _, t := range s.Complex {
		r.refers(t.Name, t.Derived.Base)
		r.members(t.Name, t.Elements)
		r.members(t.Name, t.Derived.Elements)
	}
}

func (r *description) members(of string, all []xsdElement) {
	r.t.Helper()
	for _, e := range all {
		r.refers(of+"."+e.Name, e.Type)
	}
}

func (r *description) refers(where, name string) {
	r.t.Helper()
	if name == "" {
		return
	}
	prefix, bare, _ := strings.Cut(name, ":")
	if _, ok := r.types[bare]; prefix == "vim25" && !ok || prefix != "vim25" && prefix != "xsd" {
		r.t.Errorf("%s refers to %s, which is not there or not included", where, name)
	}
}

// all returns the members of a type, those of its base first.
func (r *description) all(name string) []xsdElement {
	t := r.types[strings.TrimPrefix(name, "vim25:")]
	if t.Derived.Base != "" {
		return append(r.all(t.Derived.Base), t.Derived.Elements...)
	}
	return t.Elements
}

// walk checks that the description has what the rows have, and nothing else.
func (r *description) walk(objects []*vim.Object) {
	r.t.Helper()
	rows := map[string]bool{}
	for _, o := range objects {
		for i := range o.Methods {
			rows[o.Methods[i].Name] = true
			r.method(&o.Methods[i])
		}
		for _, p := range o.Properties {
			r.value(o.Type+"."+p.Name, p.Type)
		}
	}
	if len(r.operations) != len(rows) || len(r.bound) != len(rows) {
		r.t.Errorf("%d operations, %d of them bound; want %d", len(r.operations), len(r.bound), len(rows))
	}
	for name, element := range r.messages {
		if _, ok := r.elements[strings.TrimPrefix(element, "vim25:")]; !ok {
			r.t.Errorf("message %s has the element %s, which is not there", name, element)
		}
	}
	for name, typ := range r.types {
		t, ok := types.TypeFunc()(name)
		if strings.HasSuffix(name, "RequestType") {
			continue // method checks it
		}
		if ok && t.Kind() == reflect.Struct && t != schema.Reference {
			r.order(name, r.all(name), schema.Of(t, "xml").Members)
		} else if ok && len(typ.Values) == 0 && t != schema.Reference && name != "versionURI" {
			r.t.Errorf("%s has no values", name)
		}
	}
}

func (r *description) method(m *vim.Method) {
	r.t.Helper()
	o, b := r.operations[m.Name], r.bound[m.Name]
	if o.Input.Message != "vim25:"+m.Name+"RequestMsg" || o.Output.Message != "vim25:"+m.Name+"ResponseMsg" ||
		r.messages[m.Name+"RequestMsg"] != "vim25:"+m.Name ||
		r.messages[m.Name+"ResponseMsg"] != "vim25:"+m.Name+"Response" || b.SOAP.Action != "urn:vim25/8.0.3.0" ||
		r.elements[m.Name].Type != "vim25:"+m.Name+"RequestType" {
		r.t.Errorf("%s: %+v %+v", m.Name, o, b)
	}
	var faults, bound []string
	for _, f := range o.Faults {
		faults = append(faults, f.Name)
		if element := r.messages[f.Name+"FaultMsg"]; f.Message != "vim25:"+f.Name+"FaultMsg" ||
			element != "vim25:"+f.Name+"Fault" || r.elements[f.Name+"Fault"].Type != "vim25:"+f.Name {
			r.t.Errorf("%s: %+v %s", m.Name, f, element)
		}
	}
	for _, f := range b.Faults {
		bound = append(bound, f.Name)
	}
	want := slices.Compact(slices.Sorted(slices.Values(append([]string{"RuntimeFault"}, m.Faults...))))
	if !slices.Equal(faults, want) || !slices.Equal(bound, want) {
		r.t.Errorf("%s has the faults %v, bound %v; want %v", m.Name, faults, bound, want)
	}
	members := r.all(m.Name + "RequestType")
	if len(members) == 0 || members[0].Name != "_this" || members[0].Type != "vim25:ManagedObjectReference" {
		r.t.Fatalf("%s: %+v", m.Name, members)
	}
	r.order(m.Name, members[1:], schema.Of(m.Args, "xml").Members)
	answer := r.elements[m.Name+"Response"].Inner.Elements
	switch {
	case m.Result == nil && len(answer) != 0:
		r.t.Errorf("%s returns %v, want nothing", m.Name, answer)
	case m.Result != nil:
		if len(answer) != 1 || answer[0].Name != "returnval" {
			r.t.Fatalf("%s returns %v", m.Name, answer)
		}
		list := schema.IsList(m.Result)
		if (answer[0].MaxOccurs != "") != list || (answer[0].MinOccurs == "0") != (list || m.Optional) {
			r.t.Errorf("%s returns %+v; a list: %v, optional: %v", m.Name, answer[0], list, m.Optional)
		}
		r.value(m.Name, m.Result)
	}
}

// order checks the names and the order of members. Newer members than the release has are left out.
func (r *description) order(of string, got []xsdElement, members []schema.Member) {
	r.t.Helper()
	var names, want []string
	for _, e := range got {
		names = append(names, e.Name)
	}
	newest := vim.Release{8, 0, 3, 0}
	for _, m := range members {
		if since, err := vim.ParseRelease(m.Field.Tag.Get("vim")); err != nil || !newest.Before(since) {
			want = append(want, m.Name)
		}
	}
	if !slices.Equal(names, want) {
		r.t.Errorf("%s has the members %v, want %v", of, names, want)
	}
}

// value checks that the type of a value is there, with its subtypes and with a list of it.
func (r *description) value(of string, t reflect.Type) {
	r.t.Helper()
	list := false
	for done := false; !done; {
		switch {
		case t == schema.Bytes:
			return
		case t.Kind() == reflect.Slice:
			list, t = true, t.Elem()
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		default:
			done = true
		}
	}
	if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
		return
	}
	names := []string{schema.Spelled(t)}
	if base, ok := schema.Declared(t); ok && t.Kind() == reflect.Interface {
		names = []string{base.Name()}
		if base.Name() != "Event" && base.Name() != "MethodFault" {
			for _, sub := range schema.Subtypes()[base] {
				names = append(names, sub.Name())
			}
		}
	}
	if t.PkgPath() == "" || t == schema.Time {
		names = nil
	}
	if list && names != nil {
		names = append(names, schema.ListName(names[0]))
	}
	for _, name := range names {
		if _, ok := r.types[name]; !ok {
			r.t.Errorf("the type %s of %s is not there", name, of)
		}
	}
}

func TestEveryRowIsDescribedOnceAndNothingIsMissing(t *testing.T) {
	objects, err := serve.Objects()
	if err != nil {
		t.Fatal(err)
	}
	d, err := wsdl.New("8.0.3.0", objects)
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, d)
	r.walk(objects)
	for _, name := range slices.Concat(implied.Faults, implied.Events) {
		if _, ok := r.types[name]; !ok {
			t.Errorf("%s is not there", name)
		}
	}
	for _, name := range implied.Faults {
		if r.elements[name+"Fault"].Type != "vim25:"+name {
			t.Errorf("there is no element for %s", name)
		}
	}
	if len(r.types) > 600 {
		t.Errorf("%d types: those that no row needs make clients slow", len(r.types))
	}
}

func TestTheWholeAPIIsDescribedForAFront(t *testing.T) {
	objects, err := serve.Objects()
	if err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(objects, func(o *vim.Object) bool { return o.Type != "SessionManager" })
	others := translation.New(nil).Objects()
	d, err := wsdl.New("8.0.3.0", own, others...)
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, d)
	others = slices.DeleteFunc(others, func(o *vim.Object) bool { return o.Type == "SessionManager" })
	r.walk(slices.Concat(own, others))
	if len(r.operations) < 960 {
		t.Errorf("%d operations", len(r.operations))
	}
	for _, name := range schema.Names() {
		if _, ok := r.types[name]; !ok {
			t.Errorf("%s is not there", name)
		}
	}
}

func TestAnOlderReleaseHasNoNewerMembers(t *testing.T) {
	objects, err := serve.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for release, want := range map[string]bool{"6.7.1": false, "8.0.3.0": true} {
		d, err := wsdl.New(release, objects)
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, d)
		has := slices.ContainsFunc(r.all("Capability"), func(e xsdElement) bool { return e.Name == "hadcsSupported" })
		if has != want || r.bound["Login"].SOAP.Action != "urn:vim25/"+release {
			t.Errorf("%s: %v, %s", release, has, r.bound["Login"].SOAP.Action)
		}
	}
}

func TestTheSameTableGivesTheSameFiles(t *testing.T) {
	objects, err := serve.Objects()
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]string
	for range 3 {
		d, err := wsdl.New("8.0.3.0", objects)
		if err != nil {
			t.Fatal(err)
		}
		sums := map[string]string{}
		for _, name := range wsdl.Names() {
			f := d.File(name)
			z, err := gzip.NewReader(bytes.NewReader(f.Compressed))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, f.Plain) {
				t.Errorf("%s: the compressed file is not the plain one: %v", name, err)
			}
			sums[name] = f.Sum
		}
		if first == nil {
			first = sums
		} else if !reflect.DeepEqual(sums, first) {
			t.Fatalf("%v, then %v", first, sums)
		}
	}
}

func TestTheAddressCannotBreakTheFile(t *testing.T) {
	var w struct {
		Address struct {
			Location string `xml:"location,attr"`
		} `xml:"service>port>address"`
	}
	const address = `https://h"&<>'/sdk`
	if err := xml.Unmarshal(wsdl.Service(address).Plain, &w); err != nil || w.Address.Location != address {
		t.Errorf("%v, %v", w, err)
	}
}

func TestWhatTheAPIDoesNotHaveIsAnError(t *testing.T) {
	args := reflect.TypeFor[types.LoginRequestType]()
	for what, rows := range map[string][]vim.Method{
		"fault": {{Name: "Login", Args: args, Faults: []string{"NoSuchFault"}}},
		"type":  {{Name: "Login", Args: args, Result: reflect.TypeFor[chan int]()}},
		"lists": {{Name: "Login", Args: args, Result: reflect.TypeFor[[][]string]()}},
		"two":   {{Name: "Login", Args: args}, {Name: "Login", Args: args, Result: reflect.TypeFor[string]()}},
		"other": {{Name: "Login", Args: args}, {Name: "Login", Args: reflect.TypeFor[types.LogoutRequestType]()}},
	} {
		if _, err := wsdl.New("8.0.3.0", []*vim.Object{{Type: "SessionManager", Methods: rows}}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := wsdl.New("new", nil); err == nil {
		t.Error("no error for a release that is none")
	}
}

func TestOnlyAFewReleasesAreKept(t *testing.T) {
	var k wsdl.Kept
	made := 0
	get := func(release string) *wsdl.Documents {
		d, err := k.Get(release, func() (*wsdl.Documents, error) { made++; return new(wsdl.Documents), nil })
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := get("a")
	if get("a") != first || made != 1 {
		t.Errorf("made %d times", made)
	}
	for range 8 {
		get(strings.Repeat("b", made))
	}
	if get("a") == first {
		t.Error("nothing is forgotten")
	}
	failed := errors.New("no")
	if _, err := k.Get("c", func() (*wsdl.Documents, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}

func TestAFrontIsDescribedInTheReleaseOfItsUpstream(t *testing.T) {
	for version, want := range map[string]string{
		"6.5": "6.5", "7.0.3.2": "7.0.3.2", "9.1.0.0": "9.1.0.0", "9.2.0.0": "9.1.0.0", "10.0": "9.1.0.0",
		"": "9.1.0.0", "x": "9.1.0.0",
	} {
		if got := wsdl.Release(version); got != want {
			t.Errorf("%q: %s, want %s", version, got, want)
		}
	}
}

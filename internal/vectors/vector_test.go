package vectors

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

func TestAVectorIsParsed(t *testing.T) {
	steps, err := parse("# why\nas reader\ncall A/b.C\n{\n \"x\": \"${y}\"\n}\nkeep z member\nafter 2m\nread A.d\n" +
		"result\n[1,\n2]\ntoken\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.Word+" "+s.Rest)
	}
	if want := []string{"as reader", "call A/b.C", "keep z member", "after 2m", "read A.d"}; !reflect.DeepEqual(got,
		want) {
		t.Errorf("%q", got)
	}
	if last := steps[4]; last.Want != "result" || string(last.JSON) != "[1,\n2]" || !last.Token {
		t.Errorf("%+v", last)
	}
	if !json.Valid(steps[1].Args) {
		t.Errorf("args %s", steps[1].Args)
	}
}

func TestAVectorThatShowsNothingIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "# only words", "as reader", "call A.B", "call A.B\n{}", "call A.B\n{", "result 1", "call A.B\nresult {",
		"call A.B\nnone 1",
		"call A.B\nnone\nnone", "as reader\nresult 1", "nonsense", "after soon\ncall A.B\nnone",
		"as reader\n{}\ncall A.B\nnone",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestAnExpectationIsHeldToEveryMember(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{`{"a":1}`, `{"a":1}`, true}, {`{"a":1}`, `{"a":2}`, false}, {`{"a":1}`, `{}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{}`, `{"a":null}`, false}, {`[1,2]`, `[1]`, false}, {`"a"`, `1`, false}, {`true`, `false`, false},
		{`[]`, `null`, false},
		{`"${uuid}"`, `"52b1c0a0-0000-4000-8000-0123456789ab"`, true}, {`"${uuid}"`, `"x"`, false},
		{`"a-${uuid}-b"`, `"a-52b1c0a0-0000-4000-8000-0123456789ab-b"`, true},
		{`"${time}"`, `"2026-03-04T05:06:07.000008Z"`, true}, {`"${time}"`, `"2026-03-04T05:06:07+00:00"`, false},
		{`"${int}"`, `12`, true}, {`"x${int}"`, `12`, false}, {`"${unheard}"`, `"a"`, false}, {`"a.b"`, `"axb"`, false},
		{`[1,"${more}"]`, `[1,2,3]`, true}, {`[1,"${more}"]`, `[1]`, true}, {`["${more}"]`, `[]`, true},
		{`[1,"${more}"]`, `[]`, false},
		{`[1,"${more}"]`, `[2,1]`, false}, {`["${more}",1]`, `[1,1]`, false}, {`["${more}"]`, `{}`, false},
		{`"${more}"`, `"a"`, false},
		{`10000000`, `10000000`, true}, {`10000000`, `1000000`, false},
		// beyond what a vector can express; it must use ${int}
		{`9007199254740993`, `9007199254740993`, false},
	} {
		if err := match(json.RawMessage(c.want), json.RawMessage(c.got)); (err == nil) != c.ok {
			t.Errorf("%s for %s: %v", c.got, c.want, err)
		}
	}
}

func TestAKeptValueStaysOneString(t *testing.T) {
	got := fill(`{"a":"${x}","b":"${y}"}`, func(name string) (string, bool) { return "q\"\n", name == "x" })
	if got != `{"a":"q\"\n","b":"${y}"}` {
		t.Errorf("%s", got)
	}
}

func TestUncoveredNamesOperationsWithoutAVector(t *testing.T) {
	steps, err := parse("call A.M\nfault {\"_typeName\":\"F\"}")
	if err != nil {
		t.Fatal(err)
	}
	objects := []*vim.Object{{
		Type: "A", Methods: []vim.Method{{Name: "M", Privilege: "P", Args: reflect.TypeFor[types.LogoutRequestType](),
			Faults: []string{"F", "G"}}},
		Properties: []vim.Property{{Name: "p", Privilege: vim.View}, {Name: "q", Privilege: vim.Anonymous}},
	}}
	got := strings.Join(uncovered(objects, []Vector{{"A/M-f", steps}}), ", ")
	if want := "A.p, A.p NotAuthenticated, A.q, A.M, A.M G, A.M NoPermission, A.M NotAuthenticated"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

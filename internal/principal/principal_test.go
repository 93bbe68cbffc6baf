package principal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/principal"
)

func TestANameIsParsedInEachSpelling(t *testing.T) {
	for text, want := range map[string]principal.Name{
		"ann":                {Domain: "VSPHERE.LOCAL", User: "ann"},
		`corp\Ann`:           {Domain: "CORP", User: "Ann"},
		"Ann@corp.example":   {Domain: "CORP.EXAMPLE", User: "Ann"},
		"ann@home@corp":      {Domain: "CORP", User: "ann@home"},
		`corp\ann@home`:      {Domain: "CORP", User: "ann@home"},
		"Jörg Müller@Straße": {Domain: "STRASSE", User: "Jörg Müller"},
	} {
		got, err := principal.Parse(text, "vsphere.local")
		// Go's upper case of ß is ß. What matters is that the same rule applies everywhere.
		want.Domain = strings.Replace(want.Domain, "STRASSE", strings.ToUpper("Straße"), 1)
		if err != nil || got != want {
			t.Errorf("%q: %#v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", `\ann`, `corp\`, "@corp", "ann@", `a\b\c`, `a@b\c@d\e`, "ann\n", "ann\x00",
		"ann\xff", strings.Repeat("x", principal.MaxLength+1)} {
		if got, err := principal.Parse(text, "vsphere.local"); !errors.Is(err, principal.ErrInvalid) {
			t.Errorf("%q: %#v, %v", text, got, err)
		}
	}
	if _, err := principal.Parse("ann", ""); !errors.Is(err, principal.ErrInvalid) {
		t.Error("a bare name in no domain is nobody")
	}
}

func TestNamesAreTheSameByOneRule(t *testing.T) {
	ann := principal.Name{Domain: "CORP", User: "Ann"}
	for _, c := range []struct {
		other principal.Name
		same  bool
	}{
		{principal.Name{Domain: "CORP", User: "aNN"}, true},
		{principal.Name{Domain: "corp", User: "Ann"}, true},
		{principal.Name{Domain: "OTHER", User: "Ann"}, false},
		{principal.Extension("Ann"), false},
		{principal.Name{}, false},
	} {
		if ann.Equal(c.other) != c.same || (ann.Key() == c.other.Key()) != c.same {
			t.Errorf("%v and %v: %v, by keys %v", ann, c.other, ann.Equal(c.other), ann.Key() == c.other.Key())
		}
	}
	s, long := principal.Extension("session"), principal.Extension("ſession")
	if !s.Equal(long) || s.Key() != long.Key() || s.FormerKey() == long.FormerKey() {
		t.Error("a long s makes another name")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ann", `corp\Ann`, "Ann@corp", `a\b@c`, "\xff", "ſ@ſ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := principal.Parse(text, "vsphere.local")
		if err != nil {
			return
		}
		if n.IsZero() || n.Domain == "" || strings.ContainsAny(n.Domain, `\@`) || strings.Contains(n.User, `\`) {
			t.Fatalf("%q: %#v", text, n)
		}
		again, err := principal.Parse(n.String(), "")
		if len(n.String()) <= principal.MaxLength && (err != nil || !again.Equal(n) || again.Key() != n.Key()) {
			t.Fatalf("%q: %#v is read again as %#v, %v", text, n, again, err)
		}
	})
}

func TestAUserOfAnUpstreamServerIsNoPrincipalOfThisServer(t *testing.T) {
	for _, user := range []string{"root", `VSPHERE.LOCAL\Administrator`, "administrator@vsphere.local", "com.example"} {
		n := principal.OfUpstream("lab", user)
		if front, got, ok := n.Upstream(); front != "lab" || got != user || !ok || n.Shown() != user {
			t.Errorf("%q: %q, %q, %v, shown as %q", user, front, got, ok, n.Shown())
		}
		if got, err := principal.Parse(n.String(), "VSPHERE.LOCAL"); err == nil {
			t.Errorf("%q is the name of %+v", n.String(), got)
		}
		for _, same := range []principal.Name{
			principal.Extension(user), {Domain: "VSPHERE.LOCAL", User: user}, {Domain: "lab", User: user},
			principal.OfUpstream("lab2", user),
		} {
			if n.Equal(same) {
				t.Errorf("%q is the same principal as %q", n, same)
			}
		}
		if !n.Equal(principal.OfUpstream("lab", strings.ToUpper(user))) {
			t.Errorf("%q in upper case is another principal", user)
		}
	}
	if _, _, ok := (principal.Name{Domain: "VSPHERE.LOCAL", User: "ann"}).Upstream(); ok {
		t.Error("a local user is one of an upstream server")
	}
}

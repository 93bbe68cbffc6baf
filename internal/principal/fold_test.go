package principal_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/vigate/vigate/internal/principal"
)

// There is only one relation of names that are the same: Key, Equal, Fold and strings.EqualFold
// agree for every character.
func TestKeyEqualAndFoldAreOneRelation(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		a := "x" + string(r)
		if f := principal.Fold(a); !strings.EqualFold(a, f) || principal.Fold(f) != f {
			t.Fatalf("%U is folded to %q", r, f)
		}
		if unicode.SimpleFold(r) == r && unicode.ToLower(r) == r && unicode.ToUpper(r) == r {
			continue // the character has no case
		}
		for _, o := range []rune{unicode.SimpleFold(r), unicode.ToLower(r), unicode.ToUpper(r), unicode.ToTitle(r),
			r + 1} {
			b := "x" + string(o)
			n, m := principal.Extension(a), principal.Extension(b)
			want := strings.EqualFold(a, b)
			if n.Equal(m) != want || (n.Key() == m.Key()) != want || (principal.Fold(a) == principal.Fold(b)) != want {
				t.Fatalf("%U and %U: the same %v, equal %v, by keys %v", r, o, want, n.Equal(m), n.Key() == m.Key())
			}
			if want && !principal.Alike(a, b) {
				t.Fatalf("%U and %U are the same, and not alike", r, o)
			}
		}
	}
}

func TestNamesThatLookTheSameAreAlike(t *testing.T) {
	for _, all := range [][]string{
		{"administrator", "Administrator", "ＡＤＭＩＮＩＳＴＲＡＴＯＲ", "admınıstrator", "ADMİNİSTRATOR", "administrator\u200b",
			"\u202eadministrator", "admin\ufeffistrator",
			"аdministrator", "ɑdministrator", "administratοr", "adminiſtrator", " administrator ",
			"admin\u00adistrator", "administrator\ufe0f"},
		{"jörg", "jo\u0308rg", "JÖRG", "jӧrg"},
		{"kelly", "\u212aelly"}, {"sam", "\u017fam"}, {"coco", "сосо"}, {"strasse", "straße"}, {"finn", "ﬁnn"},
		{"a b", "a\u00a0b", "a  b", "a\u3000b"},
		{"γιώργος", "ΓΙΏΡΓΟΣ", "ΓΙΏΡΓΟσ"},
	} {
		for _, other := range all[1:] {
			if !principal.Alike(all[0], other) {
				t.Errorf("%q and %q are not alike: %q, %q", all[0], other, principal.Look(all[0]),
					principal.Look(other))
			}
		}
	}
	looks := []string{"ann", "anna", "an", "jörg", "jorg", "łukasz", "lukasz", "ann-1", "ann_1", "ann.1", "иван", "山田",
		"0", "o"}
	seen := map[string]string{}
	for _, n := range looks {
		if other, ok := seen[principal.Look(n)]; ok {
			t.Errorf("%q and %q are alike", n, other)
		}
		seen[principal.Look(n)] = n
	}
}

func TestAnIndexFindsTheRecordsOfAName(t *testing.T) {
	x := principal.Index{}
	long, short := principal.Extension("\u017fam"), principal.Extension("sam")
	x.Put(long, "b")
	x.Put(long, "b")
	if got := x.Find(short); !slices.Equal(got, []string{"b"}) {
		t.Errorf("found %v", got)
	}
	x.Put(short, "a")
	before := x.Find(long)
	x.Delete(long, "none")
	x.Delete(principal.Extension("other"), "a")
	x.Delete(long, "b")
	if got := x.Find(long); !slices.Equal(before, []string{"a", "b"}) || !slices.Equal(got, []string{"a"}) {
		t.Errorf("found %v, then %v", before, got)
	}
	x.Delete(short, "a")
	if len(x) != 0 {
		t.Errorf("left %v", x)
	}
}

package principal_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/vigate/vigate/internal/principal"
)

func TestANewNameCannotBeMistakenForAnother(t *testing.T) {
	for _, good := range []string{
		"a", "ann", "Administrator", "John Smith", "o'hara", "ann-marie_2", "com.example.backup:v1/x", "svc$",
		"Jörg Müller", "straße", "Łukasz", "Nguyễn",
		"иван", "Γιώργος", "山田太郎", "やまだ taro", "김철수", "李 lee", "שלום", "สมชาย", "محمد", strings.Repeat("x", 128),
	} {
		if err := principal.CheckNew(good, 128); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for what, names := range map[string][]string{
		"length":    {"", strings.Repeat("x", 129), strings.Repeat("ä", 65)},
		"not UTF-8": {"\xff", "ann\xc3"},
		"separators": {`a\b`, "a@b", `VSPHERE.LOCAL\ann (impersonated by VSPHERE.LOCAL\bob)`,
			"ann (impersonated by bob)", "(ann", "ann)", `"ann"`, "ann,bob"},
		"spaces": {" ann", "ann ", " ", "a  b", "ann\u00a0", "a\u2003b", "a\u3000b", "a\u2028b",
			"ann\t"},
		"control characters": {"ann\x00", "ann\n", "ann\x7f", "ann\u0085"},
		"format characters": {"administrator\u200b", "\u202eann", "ann\ufeff", "a\u00adnn", "ann\u2066",
			"ann\u061c", "ann\U000e0041", "an\u200dn"},
		"ignored characters":    {"ann\u034f", "ann\u115f", "ann\u3164", "ann\ufe0f", "ann\U000e0100", "\u17b4"},
		"other symbols":         {"ann∖bob", "ann‚bob", "ann\u2800", "a🙂", "ann\ue000", "ann\u0378", "“ann”", "a❨b❩"},
		"digits of others":      {"ann٣", "ann९"},
		"another composition":   {"Jo\u0308rg", "\u1100\u1161"},
		"another width":         {"ａnn", "ann１", "ann＠corp", "ann（", "ﾊﾝ"},
		"another form":          {"ﬁnn", "\u017fam", "\u212aelly", "\u212bsa", "µ", "x²", "ª", "ⅷ"},
		"scripts mixed":         {"аdmin", "admіn", "аdministratоr", "Αdmin", "аγ", "annא", "adminप", "山田иван", "ㄅ김"},
		"scripts not for names": {"ᎠᎠ", "ꓐꓐ", "𐐀", "ᚠ"},
		"marks":                 {"\u0301ann", "a" + strings.Repeat("\u0323\u0329", 3)},
	} {
		for _, bad := range names {
			err := principal.CheckNew(bad, 128)
			var named *principal.NameError
			if !errors.As(err, &named) || named.Reason == "" || bad != "" && len(bad) > 1 &&
				strings.Contains(err.Error(), bad) {
				t.Errorf("%s: %q: %v", what, bad, err)
			}
		}
	}
}

// The test checks all accepted characters against Unicode's tables, not only examples.
func TestEveryCharacterOfANewNameIsVisibleAndHasOneSpelling(t *testing.T) {
	n := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		name := "a" + string(r) + "a"
		if principal.CheckNew(name, 128) != nil {
			continue
		}
		n++
		if r < 0x80 && (r < ' ' || strings.ContainsRune(`\@()",`, r) || r == 0x7f) ||
			r >= 0x80 && !unicode.IsLetter(r) && !unicode.IsMark(r) ||
			unicode.In(r, unicode.Cf, unicode.Cc, unicode.Co, unicode.Cs, unicode.Bidi_Control,
				unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
			unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Hebrew, unicode.Arabic, unicode.Cherokee) ||
			norm.NFKC.String(name) != name {
			t.Errorf("%U is accepted in a Latin name", r)
		}
	}
	if n < 1000 {
		t.Errorf("only %d characters are accepted", n)
	}
}

func TestTextsInListsCannotHideOrReverseOtherTexts(t *testing.T) {
	for _, good := range []string{"", "Ann Example", "Müller (Köln), 3²", "می\u200cخواهم", "क्\u200dष", "日本 — “x” 🙂",
		"a\u00a0b"} {
		if !principal.ValidText(good) || !principal.ValidLines(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"\xff", "a\x00", "a\x1b[2K", "a\u0085", "a\u202eb", "a\u2066", "a\u200b", "a\u00ad",
		"\ufeffa", "a\u2028b", "\ue000", "\u200cم", "م\u200c", "a\u200d b"} {
		if principal.ValidText(bad) || principal.ValidLines(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
	if principal.ValidText("a\nb") || !principal.ValidLines("a\r\n\tb") {
		t.Error("lines")
	}
}

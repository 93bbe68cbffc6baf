package principal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// There are two relations between names:
//
// Names are the same if Fold returns the same text for both. This relation decides the identity of
// a principal: keys of records, permissions, owners of sessions, locks, filters of events. It is
// Unicode's simple case folding, the relation of strings.EqualFold.
//
// Names are alike if a reader could take one for the other. A new name is refused if it is alike an
// existing one. This relation decides nothing else, because people with similar names are still two
// people. Names that are the same are also alike.

// Fold returns the same text for two names if, and only if, strings.EqualFold reports true for
// them.
func Fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

// foldRune returns one letter that represents all letters that differ from r only in case.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	for _, c := range [...]rune{unicode.ToLower(unicode.ToUpper(r)), unicode.ToLower(r)} {
		for o := unicode.SimpleFold(r); ; o = unicode.SimpleFold(o) {
			if o == c {
				return c
			}
			if o == r {
				break
			}
		}
	}
	return r
}

// Alike reports whether a reader could take one name for the other. The names may differ in case,
// in composition or width, in letters of another script that look the same, or in invisible
// characters.
func Alike(a, b string) bool { return Look(a) == Look(b) }

// Look returns the same text for two names if they are alike. The text has no other meaning.
func Look(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return strings.ToLower(s)
	}
	s = norm.NFKD.String(s)
	// names that are the same are also alike, even if the library's tables are older
	s = Fold(cases.Fold().String(s))
	s = norm.NFKD.String(s)
	var b strings.Builder
	last := rune(0)
	for _, r := range s {
		if seen, ok := drawnAs[r]; ok {
			r = seen
		}
		switch {
		case unseen(r), r == '\u0307' && (last == 'i' || last == 'j'): // i and j already have their dot
			continue
		case unicode.IsSpace(r):
			if r = ' '; last == ' ' || last == 0 {
				continue
			}
		}
		b.WriteRune(r)
		last = r
	}
	return strings.TrimSuffix(b.String(), " ")
}

// unseen reports whether a character is invisible or changes only how other characters look.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// drawnAs maps letters that look like one of a to z, in lower or upper case, to that letter. Names
// are folded to lower case before. The table is not a complete table of confusable characters
// (Unicode UTS #39 has 6,000), because CheckNew refuses names with letters of several scripts. It
// serves to compare Latin letters with each other, and whole names in Cyrillic or Greek letters
// that all look like Latin ones.
var drawnAs = func() map[rune]rune {
	m := map[rune]rune{}
	for latin, letters := range map[rune]string{
		'a': "ɑᴀαа", 'b': "ʙβв", 'c': "ᴄс", 'd': "ᴅԁ", 'e': "ᴇεе", 'g': "ɡɢԍ", 'h': "ʜηнһ", 'i': "ıɩɪιі", 'j': "ȷᴊјϳ",
		'k': "ᴋκк", 'l': "ǀʟӏ", 'm': "ᴍμм", 'n': "ɴν", 'o': "ᴏοо", 'p': "ᴘρр", 'q': "ԛ", 'r': "ʀ", 's': "ꜱѕ",
		't': "ᴛτт", 'u': "ᴜ", 'v': "ᴠѵ",
		'w': "ᴡԝ", 'x': "χх", 'y': "ʏυуү", 'z': "ᴢζ",
	} {
		for _, r := range letters {
			m[r] = latin
		}
	}
	return m
}()

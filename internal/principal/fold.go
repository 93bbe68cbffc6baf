package principal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Two relations between names, and no third:
//
// The same: Fold makes one text of both. It decides who somebody is: keys of
// records, permissions, owners of sessions, locks, filters of events. It is
// Unicode's simple case folding, the relation of strings.EqualFold.
//
// Alike: a reader takes one for the other. It refuses a new name beside one that
// is there, and decides nothing else, because people with names that are alike
// are still two people. Names that are the same are alike.

// Fold is equal for texts that are the same without regard to case: exactly
// those for which strings.EqualFold holds.
func Fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

// foldRune returns the one of the letters that differ from r in case alone which
// stands for them all.
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

// Alike reports whether a reader takes one name for the other: in another case,
// another composition or width, with letters of another script that are drawn
// the same, or with characters that are not seen.
func Alike(a, b string) bool { return Look(a) == Look(b) }

// Look is equal for names that are alike. It means nothing else.
func Look(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return strings.ToLower(s)
	}
	s = norm.NFKD.String(s)
	s = Fold(cases.Fold().String(s)) // what is the same is alike, also where the library's tables lag
	s = norm.NFKD.String(s)
	var b strings.Builder
	last := rune(0)
	for _, r := range s {
		if seen, ok := drawnAs[r]; ok {
			r = seen
		}
		switch {
		case unseen(r), r == '\u0307' && (last == 'i' || last == 'j'): // which have their dot
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

// unseen: characters that leave no ink, or change that of others.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// drawnAs has the letters that are drawn as one of a to z is, as a small letter
// or as a capital: after folding, which makes capitals small. It is no complete
// table of confusables (Unicode UTS #39 has 6,000): the rule that the letters of
// a new name are of one script, see CheckNew, refuses what is mixed. It is for
// Latin letters among themselves, and for whole names of Cyrillic or Greek
// letters that are all drawn as Latin ones.
var drawnAs = func() map[rune]rune {
	m := map[rune]rune{}
	for latin, letters := range map[rune]string{
		'a': "ɑᴀαа", 'b': "ʙβв", 'c': "ᴄс", 'd': "ᴅԁ", 'e': "ᴇεе", 'g': "ɡɢԍ", 'h': "ʜηнһ", 'i': "ıɩɪιі", 'j': "ȷᴊјϳ",
		'k': "ᴋκк", 'l': "ǀʟӏ", 'm': "ᴍμм", 'n': "ɴν", 'o': "ᴏοо", 'p': "ᴘρр", 'q': "ԛ", 'r': "ʀ", 's': "ꜱѕ", 't': "ᴛτт", 'u': "ᴜ", 'v': "ᴠѵ",
		'w': "ᴡԝ", 'x': "χх", 'y': "ʏυуү", 'z': "ᴢζ",
	} {
		for _, r := range letters {
			m[r] = latin
		}
	}
	return m
}()

package principal

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NameError says why nobody new can be called so. Its text is fit for the client
// and does not repeat the name.
type NameError struct{ Reason string }

func (e *NameError) Error() string { return "not a name for somebody new: " + e.Reason }

func refused(reason string) error { return &NameError{reason} }

// separators stand between or around names in what this server shows: a domain
// and its user, the two names of an impersonation, a quoted name, names in a row.
const separators = `\@()",`

// CheckNew returns a *NameError where nobody new can be called so: no local user,
// no extension, and no user of another source who has not been seen before. The
// domain is not part of the name. Who is called so already stays: see Parse.
//
// A name is 1 to limit bytes of letters, ASCII digits, marks, ASCII punctuation
// but \ @ ( ) " and comma, and single spaces inside. It is in NFKC form, so that
// one name has one spelling; it has no characters that are not seen (control and
// format characters, among them those of direction); its letters are of one
// script, or of those that are written together in Chinese, Japanese and Korean.
func CheckNew(name string, limit int) error {
	switch {
	case name == "" || len(name) > limit:
		return refused("its length is out of bounds")
	case !utf8.ValidString(name):
		return refused("it is not UTF-8")
	case strings.ContainsAny(name, separators):
		return refused("it has one of the characters \\ @ ( ) \" and comma")
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " ") || strings.Contains(name, "  "):
		return refused("it has a space at an end, or two in a row")
	}
	marks := maxMarks // the first character is none
	for _, r := range name {
		if unicode.IsMark(r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case !nameRune(r):
			return refused("it has a character that is no letter, digit or ASCII punctuation")
		case marks > maxMarks:
			return refused("it has a mark without a letter, or too many on one")
		}
	}
	if !norm.NFKC.IsNormalString(name) {
		return refused("it is not in NFKC form")
	}
	if !together(name) {
		return refused("its letters are of scripts that are not written together")
	}
	return nil
}

// maxMarks is how many marks may follow each other. No language needs more.
const maxMarks = 4

func nameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f
	}
	return (unicode.IsLetter(r) || unicode.IsMark(r)) && !unseen(r)
}

// scripts are those that names are written in: the recommended ones of Unicode
// UAX #31, table 5.
var scripts = []string{
	"Latin", "Han", "Cyrillic", "Greek", "Arabic", "Hebrew", "Hiragana", "Katakana", "Hangul", "Bopomofo", "Devanagari", "Bengali", "Thai",
	"Armenian", "Ethiopic", "Georgian", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Lao", "Malayalam", "Myanmar", "Oriya", "Sinhala", "Tamil",
	"Telugu", "Thaana", "Tibetan",
}

// companions are scripts that are written together: the level "highly
// restrictive" of Unicode UTS #39, section 5.2.
var companions = []scriptSet{
	scriptsOf("Latin", "Han", "Hiragana", "Katakana"),
	scriptsOf("Latin", "Han", "Bopomofo"),
	scriptsOf("Latin", "Han", "Hangul"),
}

// scriptSet has a bit for each of scripts.
type scriptSet uint32

func scriptsOf(names ...string) (s scriptSet) {
	for i, name := range scripts {
		if slices.Contains(names, name) {
			s |= 1 << i
		}
	}
	return s
}

// together reports whether the letters of the name are of scripts that are
// written together. What belongs to no script, such as digits, goes with all.
func together(name string) bool {
	var used scriptSet
	for _, r := range name {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		i := slices.IndexFunc(scripts, func(s string) bool { return unicode.Is(unicode.Scripts[s], r) })
		if i < 0 {
			return false // not a script that names are written in
		}
		used |= 1 << i
	}
	return bits.OnesCount32(uint32(used)) <= 1 ||
		slices.ContainsFunc(companions, func(c scriptSet) bool { return used&^c == 0 })
}

// ValidText reports whether s can stand in a list, beside names: a full name, a
// description, a label. It has no control character and no format character, so
// that it can't end a line, hide, or turn the direction of what stands beside it;
// of format characters it may have the two joiners, between letters, which Persian
// and Indian scripts are spelled with.
func ValidText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	last := rune(0)
	for i, r := range s {
		if r == zeroWidthNonJoiner || r == zeroWidthJoiner {
			next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
			if !letterOrMark(last) || !letterOrMark(next) {
				return false
			}
		} else if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) {
			return false
		}
		last = r
	}
	return true
}

// ValidLines is ValidText for what is shown by itself and may have lines.
func ValidLines(s string) bool {
	return utf8.ValidString(s) && ValidText(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, s))
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

func letterOrMark(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) }

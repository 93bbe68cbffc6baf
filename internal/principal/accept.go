package principal

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NameError says why a new user or extension can't have a name. Its text can be shown to the client
// and does not repeat the name.
type NameError struct{ Reason string }

func (e *NameError) Error() string { return "the name can't be used for a new principal: " + e.Reason }

func refused(reason string) error { return &NameError{reason} }

// separators are characters that separate or enclose names in this server's texts: a domain and a
// user, the two names of an impersonation, a quoted name, names in a list.
const separators = `\@()",`

// CheckNew returns a *NameError if no new principal can have the name: no local user, no extension,
// and no user of another identity source who was not seen before. The domain is not part of the
// name. Existing principals keep their names: see Parse.
//
// A name has 1 to limit bytes. It consists of letters, ASCII digits, marks, ASCII punctuation
// except \ @ ( ) " and comma, and single spaces inside. It is in NFKC form, so that each name has
// only one spelling. It has no invisible characters: no control characters and no format
// characters, such as those of the text direction. Its letters belong to one script, or to the
// scripts that Chinese, Japanese and Korean use together.
func CheckNew(name string, limit int) error {
	switch {
	case name == "" || len(name) > limit:
		return refused("it is empty or too long")
	case !utf8.ValidString(name):
		return refused("it is not valid UTF-8")
	case strings.ContainsAny(name, separators):
		return refused("it contains one of the characters \\ @ ( ) \" and comma")
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " ") || strings.Contains(name, "  "):
		return refused("it begins or ends with a space, or contains two in a row")
	}
	marks := maxMarks // so a mark can't be the first character
	for _, r := range name {
		if unicode.IsMark(r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case !nameRune(r):
			return refused("it contains a character that is not a letter, a digit or ASCII punctuation")
		case marks > maxMarks:
			return refused("it contains a mark without a letter, or too many marks on one letter")
		}
	}
	if !norm.NFKC.IsNormalString(name) {
		return refused("it is not in NFKC form")
	}
	if !together(name) {
		return refused("its letters belong to scripts that are not used together")
	}
	return nil
}

// maxMarks is the maximum number of consecutive marks. No language needs more.
const maxMarks = 4

func nameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f
	}
	return (unicode.IsLetter(r) || unicode.IsMark(r)) && !unseen(r)
}

// scripts are the scripts that are allowed in names: those that table 5 of Unicode UAX #31
// recommends.
var scripts = []string{
	"Latin", "Han", "Cyrillic", "Greek", "Arabic", "Hebrew", "Hiragana", "Katakana", "Hangul", "Bopomofo", "Devanagari",
	"Bengali", "Thai",
	"Armenian", "Ethiopic", "Georgian", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Lao", "Malayalam", "Myanmar",
	"Oriya", "Sinhala", "Tamil",
	"Telugu", "Thaana", "Tibetan",
}

// companions are sets of scripts that are used together, by the level "highly restrictive" in
// section 5.2 of Unicode UTS #39.
var companions = []scriptSet{
	scriptsOf("Latin", "Han", "Hiragana", "Katakana"),
	scriptsOf("Latin", "Han", "Bopomofo"),
	scriptsOf("Latin", "Han", "Hangul"),
}

// scriptSet has one bit for each element of scripts.
type scriptSet uint32

func scriptsOf(names ...string) (s scriptSet) {
	for i, name := range scripts {
		if slices.Contains(names, name) {
			s |= 1 << i
		}
	}
	return s
}

// together reports whether all letters of the name belong to scripts that are used together.
// Characters without a script, such as digits, fit every script.
func together(name string) bool {
	var used scriptSet
	for _, r := range name {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		i := slices.IndexFunc(scripts, func(s string) bool { return unicode.Is(unicode.Scripts[s], r) })
		if i < 0 {
			return false // the script is not allowed in names
		}
		used |= 1 << i
	}
	return bits.OnesCount32(uint32(used)) <= 1 ||
		slices.ContainsFunc(companions, func(c scriptSet) bool { return used&^c == 0 })
}

// ValidText reports whether s can be shown in a list next to names, as a full name, a description
// or a label. It must have no control characters and no format characters, which could end a line,
// hide text, or change the direction of the text beside it. The two joiners are allowed between
// letters, because Persian and Indian scripts need them.
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

// ValidLines does the same as ValidText for a text that may have several lines.
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

// Package locale contains the texts that people read, in nine languages, and chooses the locale of
// a session.
//
// [Parse] checks a locale's name. [Fit] and [AcceptLanguage] choose the supported locale that fits
// a request best. [Text] returns a text with its arguments filled in; the texts are those of
// faults, events, roles and privileges. [EventKey] tells which text describes an event and which
// facts of the event are its arguments.
//
// Each language has its texts in a file of its own, such as de.go, as a map from keys to texts.
// English defines the keys. The package knows no sessions and no API types; it works with their
// names.
package locale

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// ErrInvalid is returned if a name is malformed, or if its language, script or region does not
// exist. The API reports it as the fault InvalidLocale.
var ErrInvalid = errors.New("not a locale")

// Default is the locale and the message locale of a session that does not ask for one.
const Default = "en"

// maxName is the length of the longest well-formed name, which has the form xxx_Xxxx_YY.
const maxName = 11

// Choice is the result of a request for a locale. Its names are constants of this package, so a
// stored Choice does not keep the request in memory.
type Choice struct {
	// Locale is the locale of the session. It is one of Supported.
	Locale string
	// MessageLocale is the language of the texts. It is one of Messages.
	MessageLocale string
}

// messages are the locales that have texts. The first one is the default.
var messages = [...]string{"en", "de", "es", "fr", "it", "ja", "ko", "zh_CN", "zh_TW"}

// supported are the locales that a session may have, each with its message locale. They have the
// order of supportedLocaleList. If several locales fit a request equally well, the first one is
// chosen, so a language without a region comes before the same language with a region.
var supported = [...]Choice{
	{"en", "en"}, {"en_US", "en"}, {"en_GB", "en"}, {"en_AU", "en"}, {"en_CA", "en"}, {"en_IN", "en"},
	{"de", "de"}, {"de_DE", "de"}, {"de_AT", "de"}, {"de_CH", "de"},
	{"es", "es"}, {"es_ES", "es"}, {"es_MX", "es"},
	{"fr", "fr"}, {"fr_FR", "fr"}, {"fr_BE", "fr"}, {"fr_CA", "fr"}, {"fr_CH", "fr"},
	{"it", "it"}, {"it_IT", "it"}, {"it_CH", "it"},
	{"ja", "ja"}, {"ja_JP", "ja"},
	{"ko", "ko"}, {"ko_KR", "ko"},
	{"pt", "en"}, {"pt_BR", "en"}, {"pt_PT", "en"},
	{"zh", "zh_CN"}, {"zh_CN", "zh_CN"}, {"zh_SG", "zh_CN"}, {"zh_TW", "zh_TW"}, {"zh_HK", "zh_TW"},
}

// Supported returns the locales that a session may have, in a fixed order. It includes all of
// Messages.
func Supported() []string {
	names := make([]string, len(supported))
	for i, c := range supported {
		names[i] = c.Locale
	}
	return names
}

// Messages returns the locales that have texts, in a fixed order.
func Messages() []string { return append([]string(nil), messages[:]...) }

// Parse parses a locale's name: xx or xx_YY, where xx is a language of ISO 639 and YY is a country
// of ISO 3166. It also accepts a hyphen instead of the underscore, a script of ISO 15924 between
// the two parts, as in zh_Hant_TW, and upper and lower case. Variants, extensions and encodings are
// not allowed.
//
// The only error is ErrInvalid.
func Parse(name string) (language.Tag, error) {
	lang, script, region, ok := split(name)
	if !ok {
		return language.Und, fmt.Errorf("parse locale: malformed: %w", ErrInvalid)
	}
	tag, ok := compose(lang, script, region)
	if !ok {
		return language.Und, fmt.Errorf("parse locale: unknown language, script or region: %w", ErrInvalid)
	}
	return tag, nil
}

// split splits a well-formed name into its parts. Missing parts are empty.
func split(name string) (lang, script, region string, ok bool) {
	if len(name) > maxName {
		return "", "", "", false
	}
	parts := strings.Split(strings.ReplaceAll(name, "-", "_"), "_")
	lang, parts = parts[0], parts[1:]
	if len(parts) > 0 && len(parts[0]) == 4 {
		script, parts = parts[0], parts[1:]
	}
	if len(parts) > 0 && len(parts[0]) == 2 {
		region, parts = parts[0], parts[1:]
	}
	ok = len(parts) == 0 && (len(lang) == 2 || len(lang) == 3) && letters(lang+script+region)
	return lang, script, region, ok
}

func letters(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// compose makes a tag from parts that exist in the standards. It refuses codes for private use and
// codes for an unknown language.
func compose(lang, script, region string) (language.Tag, bool) {
	base, err := language.ParseBase(lang)
	if err != nil || base.IsPrivateUse() {
		return language.Und, false
	}
	switch strings.ToLower(lang) {
	case "und", "mis", "mul", "zxx":
		return language.Und, false
	}
	parts := []any{base}
	if script != "" {
		s, err := language.ParseScript(script)
		if err != nil || s.IsPrivateUse() || strings.EqualFold(script, "Zzzz") {
			return language.Und, false
		}
		parts = append(parts, s)
	}
	if region != "" {
		r, err := language.ParseRegion(region)
		if err != nil || !r.IsCountry() || r.IsPrivateUse() {
			return language.Und, false
		}
		parts = append(parts, r)
	}
	tag, err := language.Compose(parts...)
	return tag, err == nil
}

// Fit returns the supported locale that fits the requested name best. If the requested locale
// exists, but neither it nor its language is supported, the result is Default.
//
// The only error is ErrInvalid, as for Parse. The empty name is invalid too.
func Fit(requested string) (Choice, error) {
	f := fitting()
	if i, ok := f.exact[requested]; ok {
		return supported[i], nil
	}
	tag, err := Parse(requested)
	if err != nil {
		return Choice{}, err
	}
	i, ok := f.index(tag)
	if !ok {
		return supported[0], nil
	}
	return supported[i], nil
}

// fit finds supported locales.
type fit struct {
	exact   map[string]int // indexes of supported, by name
	tags    []language.Tag // tags of supported, in the same order
	matcher language.Matcher
}

var fitting = sync.OnceValue(func() *fit {
	f := &fit{exact: make(map[string]int, len(supported))}
	for i, c := range supported {
		f.exact[c.Locale] = i
		f.tags = append(f.tags, language.MustParse(c.Locale))
	}
	f.matcher = language.NewMatcher(f.tags)
	return f
})

// index returns the index in supported of the locale that fits tag best.
func (f *fit) index(tag language.Tag) (int, bool) {
	for i, t := range f.tags {
		if t == tag {
			return i, true
		}
	}
	_, i, confidence := f.matcher.Match(tag)
	// The matcher also knows which languages people can often read besides their own. Its result is
	// better than the default only if it is certain, or if the language is the same.
	want, _ := tag.Base()
	have, _ := f.tags[i].Base()
	return i, confidence >= language.High || want == have
}

// Limits of AcceptLanguage. No browser sends more.
const (
	maxHeader = 1024 // in bytes
	maxRanges = 32
)

// AcceptLanguage returns the message locale that an HTTP Accept-Language header prefers. It ignores
// ranges that are malformed or that have no texts. If no range remains, or if the header is too
// long, it returns Default.
func AcceptLanguage(header string) string {
	if header == "" || len(header) > maxHeader {
		return Default
	}
	best, weight := Default, float32(0)
	for n, ranges := 0, header; ranges != "" && n < maxRanges; n++ {
		var one string
		one, ranges, _ = strings.Cut(ranges, ",")
		// The ranges are parsed one by one, because a single unknown tag would make the parser
		// refuse all of them. The parser accepts the name of the weight only in lower case.
		tags, weights, err := language.ParseAcceptLanguage(strings.ToLower(one))
		if err != nil || len(tags) != 1 {
			continue
		}
		// NaN and infinity are parsed as weights, but they must not win.
		if w := weights[0]; w <= 1 && w > weight {
			if name, ok := messageLocale(tags[0]); ok {
				best, weight = name, w
			}
		}
	}
	return best
}

// anyLanguage is the tag that ParseAcceptLanguage returns for *.
var anyLanguage = language.MustParse("mul")

// defaultBase is the language of Default.
var defaultBase = language.MustParseBase(Default)

// messageLocale returns the message locale for the tag's language, if there are texts in it.
func messageLocale(tag language.Tag) (string, bool) {
	if tag == anyLanguage {
		return Default, true
	}
	f := fitting()
	i, ok := f.index(tag)
	if !ok {
		return "", false
	}
	// Locales of other languages use the default's texts. Such a locale is not a match, so that the
	// next language in the header gets its chance.
	if have, _ := f.tags[i].Base(); supported[i].MessageLocale == Default && have != defaultBase {
		return "", false
	}
	return supported[i].MessageLocale, true
}

// Package locale knows the names of locales, which supported one fits a request
// best, and every text that people read: faults, events, roles and privileges.
package locale

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// ErrInvalid is returned for a name that is malformed, or whose language,
// script or region does not exist. The API calls it InvalidLocale.
var ErrInvalid = errors.New("not a locale")

// Default is the locale, and the message locale, of who asks for none.
const Default = "en"

// maxName is the longest name that can be well formed: xxx_Xxxx_YY.
const maxName = 11

// Choice is what a request for a locale comes to. Both names are of the lists
// below, so that storing one keeps nothing of the request alive.
type Choice struct {
	// Locale is one of Supported.
	Locale string
	// MessageLocale is one of Messages.
	MessageLocale string
}

// messages are the locales that have texts. The first is the default.
var messages = [...]string{"en", "de", "es", "fr", "it", "ja", "ko", "zh_CN", "zh_TW"}

// supported are the locales that a session may have, with the message locale
// of each. The order is that of supportedLocaleList; among equally good fits
// the earlier one wins, so a bare language stands before its regions.
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

// Supported returns the locales that a session may have, in a fixed order. It
// holds all of Messages.
func Supported() []string {
	names := make([]string, len(supported))
	for i, c := range supported {
		names[i] = c.Locale
	}
	return names
}

// Messages returns the locales that have texts, in a fixed order.
func Messages() []string { return append([]string(nil), messages[:]...) }

// Parse reads a locale's name: xx or xx_YY, where xx is a language of ISO 639
// and YY a country of ISO 3166. It also takes - for _, a script of ISO 15924
// between the two, as in zh_Hant_TW, and any case. Variants, extensions and
// encodings are not part of a name.
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

// split cuts a well-formed name into its parts. Those that are not there are
// empty.
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

// compose makes a tag of parts that the standards know. Codes that are kept
// for private use, or that say that the language is unknown, name no locale.
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

// Fit returns the best that there is for the requested name. A locale that
// exists and is not supported, nor anything in its language, comes to Default.
//
// The only error is ErrInvalid, see Parse; the empty name is invalid too.
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
	exact   map[string]int // by name
	tags    []language.Tag // of supported
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

// index returns the place in supported of what fits tag best.
func (f *fit) index(tag language.Tag) (int, bool) {
	for i, t := range f.tags {
		if t == tag {
			return i, true
		}
	}
	_, i, confidence := f.matcher.Match(tag)
	// The matcher also knows that people who read one language can often read
	// another. Only where it is sure of that, or the language is the same, is
	// its answer better than the default.
	want, _ := tag.Base()
	have, _ := f.tags[i].Base()
	return i, confidence >= language.High || want == have
}

// Bounds of AcceptLanguage: whoever sends more is not a browser.
const (
	maxHeader = 1024 // bytes
	maxRanges = 32
)

// AcceptLanguage returns the message locale that an HTTP Accept-Language header
// prefers. Ranges that are malformed or have no messages are passed over; if
// nothing is left, or the header is too long, it is Default.
func AcceptLanguage(header string) string {
	if header == "" || len(header) > maxHeader {
		return Default
	}
	best, weight := Default, float32(0)
	for n, ranges := 0, header; ranges != "" && n < maxRanges; n++ {
		var one string
		one, ranges, _ = strings.Cut(ranges, ",")
		// One by one, as a single unknown tag would spoil them all.
		// The parser knows the weight's name in lower case only.
		tags, weights, err := language.ParseAcceptLanguage(strings.ToLower(one))
		if err != nil || len(tags) != 1 {
			continue
		}
		// NaN and infinity parse as weights, and must not win.
		if w := weights[0]; w <= 1 && w > weight {
			if name, ok := messageLocale(tags[0]); ok {
				best, weight = name, w
			}
		}
	}
	return best
}

// anyLanguage is what ParseAcceptLanguage makes of *.
var anyLanguage = language.MustParse("mul")

// defaultBase is the language of Default.
var defaultBase = language.MustParseBase(Default)

// messageLocale returns the message locale of tag, if tag's language has one.
func messageLocale(tag language.Tag) (string, bool) {
	if tag == anyLanguage {
		return Default, true
	}
	f := fitting()
	i, ok := f.index(tag)
	if !ok {
		return "", false
	}
	// Locales of other languages have the default's texts, which is no reason
	// to pass over the next language of the header.
	if have, _ := f.tags[i].Base(); supported[i].MessageLocale == Default && have != defaultBase {
		return "", false
	}
	return supported[i].MessageLocale, true
}

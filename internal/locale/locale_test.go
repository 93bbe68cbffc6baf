package locale

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTheSupportedLocalesIncludeTheMessageLocales(t *testing.T) {
	all := Supported()
	for _, name := range Messages() {
		if !slices.Contains(all, name) {
			t.Errorf("%s has messages and is not supported", name)
		}
	}
	for _, c := range supported {
		if !slices.Contains(Messages(), c.MessageLocale) {
			t.Errorf("%s: message locale %s has no messages", c.Locale, c.MessageLocale)
		}
	}
	all[0] = "changed"
	if Supported()[0] != Default || Messages()[0] != Default {
		t.Error("the lists can be changed by who reads them, or don't begin with the default")
	}
}

func TestEverySupportedLocaleFitsItself(t *testing.T) {
	for _, c := range supported {
		for _, spelling := range []string{
			c.Locale, strings.ReplaceAll(c.Locale, "_", "-"), strings.ToUpper(c.Locale), strings.ToLower(c.Locale),
		} {
			if got, err := Fit(spelling); err != nil || got != c {
				t.Errorf("Fit(%q) = %v, %v; want %v", spelling, got, err, c)
			}
		}
	}
}

func TestAKnownLocaleGetsTheBestThereIs(t *testing.T) {
	tests := []struct{ requested, locale, messages string }{
		{"en_NZ", "en_GB", "en"},
		{"en_PH", "en_GB", "en"},
		{"de_LU", "de", "de"},
		{"deu", "de", "de"},
		{"deu_AT", "de_AT", "de"},
		{"de_Latn_DE", "de_DE", "de"},
		{"gsw", "de", "de"},
		{"es_AR", "es_MX", "es"},
		{"fr_LU", "fr", "fr"},
		{"ja_Jpan", "ja", "ja"},
		{"ko_KP", "ko", "ko"},
		{"pt_AO", "pt_PT", "en"},
		{"zh_Hans", "zh", "zh_CN"},
		{"zh-Hans-CN", "zh_CN", "zh_CN"},
		{"zh_Hans_HK", "zh", "zh_CN"},
		{"zh_Hant", "zh_TW", "zh_TW"},
		{"zh_Hant_TW", "zh_TW", "zh_TW"},
		{"zh-hant-hk", "zh_HK", "zh_TW"},
		{"zh_MO", "zh_HK", "zh_TW"},
		{"cmn", "zh", "zh_CN"},
		// There are no texts in these languages.
		{"sv", "en", "en"},
		{"sv_SE", "en", "en"},
		{"ru_RU", "en", "en"},
		{"ca", "en", "en"},
		{"uk", "en", "en"},
		{"ar", "en", "en"},
		{"nb_NO", "en", "en"},
		{"fil_PH", "en", "en"},
	}
	for _, tt := range tests {
		got, err := Fit(tt.requested)
		if want := (Choice{tt.locale, tt.messages}); err != nil || got != want {
			t.Errorf("Fit(%q) = %v, %v; want %v", tt.requested, got, err, want)
		}
	}
}

func TestInvalidNamesAreRefused(t *testing.T) {
	for _, name := range []string{
		// Malformed names.
		"", "e", "_", "-", "_US", "en_", "en__US", "en_US_", "_en_US", "en US", " en", "en ", "en_U", "en_USA",
		"en_US_POSIX", "en_US.UTF-8", "en.UTF-8", "en@euro", "de_DE@euro", "en_001", "en-u-ca-buddhist", "de-1996",
		"x-klingon", "i-klingon", "C", "POSIX", "english", "zh_Hant_Hant", "zh_TW_Hant", "e1", "en_U1", "\x00\x00",
		"en\x00", "日本", "ｅｎ", "en\n", "en;q=1", "*", strings.Repeat("en_", 1<<16),
		// Well-formed names of unknown parts.
		"xx", "xx_YY", "en_YY", "en_ZZ", "en_XX", "en_AA", "en_QM", "zz", "zz_ZZ", "und", "und_US", "mul", "zxx", "mis",
		"qaa",
		"zh_Qaaa", "zh_Abcd", "zh_Zzzz",
	} {
		if got, err := Fit(name); !errors.Is(err, ErrInvalid) || got != (Choice{}) {
			t.Errorf("Fit(%.40q) = %v, %v; want ErrInvalid", name, got, err)
		}
		if _, err := Parse(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("Parse(%.40q): %v; want ErrInvalid", name, err)
		}
	}
}

func TestAcceptLanguageTakesTheFirstLanguageWithMessages(t *testing.T) {
	for header, want := range map[string]string{
		"":                                    "en",
		"de":                                  "de",
		"de-AT,de;q=0.9,en;q=0.8":             "de",
		"en;q=0.5, fr;q=0.9":                  "fr",
		"sv, de;q=0.8, en;q=0.5":              "de",
		"en;Q=0.5, FR ;\tq=0.9":               "fr",
		"en; q=0.001 , it;q=0.01,":            "it",
		"en;q=0.9, de;q=1.000":                "de",
		"pt-BR, it;q=0.3":                     "it",
		"en-GB, de;q=0.9":                     "en",
		"zh-TW":                               "zh_TW",
		"zh-HK, en":                           "zh_TW",
		"zh-Hans-SG":                          "zh_CN",
		"zh":                                  "zh_CN",
		"es-419":                              "es",
		"ja-JP-u-ca-japanese":                 "ja",
		"*":                                   "en",
		"sv, *;q=0.5, ko;q=0.1":               "en",
		"de;q=0":                              "en",
		"de;q=NaN, fr":                        "fr",
		"de;q=Inf, fr;q=0.1":                  "fr",
		"de;q=-1, fr;q=0.1":                   "fr",
		"fr, xx-YYYYYYYYYY, de":               "fr",
		"no such thing, it":                   "it",
		",,,;;;===":                           "en",
		"\x00\xff\xfe":                        "en",
		strings.Repeat("sv,", 31) + "ko":      "ko",
		strings.Repeat("sv,", 32) + "ko":      "en",
		"ko" + strings.Repeat(" ", maxHeader): "en",
	} {
		if got := AcceptLanguage(header); got != want {
			t.Errorf("AcceptLanguage(%.60q) = %s; want %s", header, got, want)
		}
	}
}

// interned fails the test if a name is not a constant of the package.
func interned(t *testing.T, c Choice) {
	t.Helper()
	if !slices.Contains(supported[:], c) {
		t.Fatalf("%v is not one of the choices", c)
	}
}

func FuzzFit(f *testing.F) {
	for _, s := range []string{"en", "en_US", "zh-Hant-TW", "sv", "xx_YY", "en_US.UTF-8", "", "\xff\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, parseErr := Parse(s)
		c, err := Fit(s)
		if (parseErr == nil) != (err == nil) {
			t.Fatalf("Parse(%q): %v, Fit: %v", s, parseErr, err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalid) || !errors.Is(parseErr, ErrInvalid) {
				t.Fatalf("Fit(%q): %v; Parse: %v", s, err, parseErr)
			}
			return
		}
		interned(t, c)
		// The normal form of a name that was accepted gives the same result.
		if again, err := Fit(tag.String()); err != nil || again != c {
			t.Fatalf("Fit(%q) = %v; of its tag %s: %v, %v", s, c, tag, again, err)
		}
	})
}

func FuzzAcceptLanguage(f *testing.F) {
	for _, s := range []string{"", "de-AT,de;q=0.9,en;q=0.8", "*", "de;q=NaN", ",;=", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := AcceptLanguage(s); !slices.Contains(messages[:], got) {
			t.Fatalf("AcceptLanguage(%q) = %q", s, got)
		}
	})
}

func BenchmarkFit(b *testing.B) {
	for _, name := range []string{"en_US", "zh-Hant-HK", "sv"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Fit(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAcceptLanguage(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if AcceptLanguage("de-AT,de;q=0.9,en-US;q=0.8,en;q=0.7") != "de" {
			b.Fatal("wrong")
		}
	}
}

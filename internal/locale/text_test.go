package locale

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sameAsEnglish lists the words of a language that are the same in English.
var sameAsEnglish = map[string][]string{
	"de": {"category.info", "console.client", "console.name", "console.text", "console.version", "group.Global.label",
		"group.System.label", "role.Admin.label"},
	"es": {"category.error", "console.no", "group.Global.label"},
	"fr": {"console.client", "console.sessions", "console.summary", "console.type", "console.version",
		"group.Extension.label", "group.Global.label", "group.Sessions.label",
		"privilege.Sessions.GlobalMessage.label"},
	"it": {"console.account", "console.client", "console.no", "console.password"},
}

// terms has for each term of the English texts the beginning of the word that every text of a language has for it, in
// small letters. Two words for one thing would look as if they were two things.
var terms = map[string]map[string]string{
	"session": {"de": "sitzung", "es": "sesi", "fr": "session", "it": "session", "ja": "セッション", "ko": "세션",
		"zh_CN": "会话", "zh_TW": "工作階段"},
	"role": {"de": "rolle", "es": "funci", "fr": "rôle", "it": "ruol", "ja": "ロール", "ko": "역할",
		"zh_CN": "角色", "zh_TW": "角色"},
	"privilege": {"de": "recht", "es": "privilegio", "fr": "privilège", "it": "privilegi", "ja": "特権", "ko": "권한",
		"zh_CN": "特权", "zh_TW": "特殊權限"},
	"permission": {"de": "berechtigung", "es": "permiso", "fr": "autorisation", "it": "autorizzazion", "ja": "権限",
		"ko": "권한", "zh_CN": "权限", "zh_TW": "權限"},
	"token": {"de": "token", "es": "token", "fr": "jeton", "it": "token", "ja": "トークン", "ko": "토큰",
		"zh_CN": "令牌", "zh_TW": "權杖"},
	"password": {"de": "kennwort", "es": "contraseña", "fr": "mot de passe", "it": "password", "ja": "パスワード",
		"ko": "암호", "zh_CN": "密码", "zh_TW": "密碼"},
	"user": {"de": "benutzer", "es": "usuario", "fr": "utilisateur", "it": "utent", "ja": "ユーザー", "ko": "사용자",
		"zh_CN": "用户", "zh_TW": "使用者"},
	"account": {"de": "kont", "es": "cuenta", "fr": "compte", "it": "account", "ja": "アカウント", "ko": "계정",
		"zh_CN": "帐户", "zh_TW": "帳戶"},
	"client": {"de": "client", "es": "client", "fr": "client", "it": "client", "ja": "クライアント", "ko": "클라이언트",
		"zh_CN": "客户端", "zh_TW": "用戶端"},
	"upstream": {"de": "server", "es": "servidor", "fr": "serveur", "it": "server", "ja": "アップストリーム",
		"ko": "업스트림", "zh_CN": "上游", "zh_TW": "上游"},
	"node": {"de": "knoten", "es": "nodo", "fr": "nœud", "it": "nod", "ja": "ノード", "ko": "노드",
		"zh_CN": "节点", "zh_TW": "節點"},
	"event": {"de": "ereignis", "es": "evento", "fr": "événement", "it": "event", "ja": "イベント", "ko": "이벤트",
		"zh_CN": "事件", "zh_TW": "事件"},
}

func TestATermHasOneWordInALanguage(t *testing.T) {
	for term, words := range terms {
		inEnglish := regexp.MustCompile(`(?i)\b` + term + `s?\b`)
		for _, name := range Messages() {
			if name == Default {
				continue
			}
			word := words[name]
			if word == "" {
				t.Errorf("%s: no word for %s", name, term)
			}
			for key, s := range english {
				if inEnglish.MatchString(s) && !strings.Contains(strings.ToLower(tables[name][key]), word) {
					t.Errorf("%s: %s is %q, which is without %q", name, key, tables[name][key], word)
				}
			}
		}
	}
}

func TestEveryTextIsInEveryLanguage(t *testing.T) {
	if !slices.Equal(slices.Sorted(maps.Keys(tables)), slices.Sorted(slices.Values(Messages()))) {
		t.Errorf("there are texts for %v", slices.Sorted(maps.Keys(tables)))
	}
	for name, table := range tables {
		for _, key := range Keys() {
			if strings.TrimSpace(table[key]) == "" {
				t.Errorf("%s: no text for %s", name, key)
			}
		}
		for key := range table {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: English has no %s", name, key)
			}
		}
	}
}

func TestTextsAreReallyTranslated(t *testing.T) {
	for name, table := range tables {
		if name == Default {
			continue
		}
		for key, s := range table {
			if allowed := slices.Contains(sameAsEnglish[name], key); (s == english[key]) != allowed {
				t.Errorf("%s: %s is %q; allowed to be the English text: %t", name, key, s, allowed)
			}
		}
	}
	// A text may have been copied from one language's file to another's.
	for key, s := range tables["zh_CN"] {
		if strings.ContainsAny(s, "個數權無與過關證開應變識錯誤憑") {
			t.Errorf("zh_CN: %s has traditional characters: %q", key, s)
		}
	}
	for key, s := range tables["zh_TW"] {
		if strings.ContainsAny(s, "个数权无与过关证开应变识错误凭") {
			t.Errorf("zh_TW: %s has simplified characters: %q", key, s)
		}
	}
}

// scripts match the characters of which each text in the language must have at least one.
var scripts = map[string]*regexp.Regexp{
	"ja":    regexp.MustCompile(`[\p{Hiragana}\p{Katakana}\p{Han}]`),
	"ko":    regexp.MustCompile(`\p{Hangul}`),
	"zh_CN": regexp.MustCompile(`\p{Han}`),
	"zh_TW": regexp.MustCompile(`\p{Han}`),
}

func TestTextsAreInTheirLanguagesScript(t *testing.T) {
	for name, script := range scripts {
		for key, s := range tables[name] {
			if !script.MatchString(s) {
				t.Errorf("%s: %s is %q", name, key, s)
			}
		}
	}
	kana := regexp.MustCompile(`[\p{Hiragana}\p{Katakana}]`)
	for _, name := range []string{"zh_CN", "zh_TW"} {
		for key, s := range tables[name] {
			if kana.MatchString(s) {
				t.Errorf("%s: %s is %q", name, key, s)
			}
		}
	}
}

func TestTheVerbsOfATextAgreeAcrossLanguages(t *testing.T) {
	verbs := func(s string) []string { return slices.Sorted(slices.Values(verb.FindAllString(s, -1))) }
	for name, table := range tables {
		for key, s := range table {
			if got, want := verbs(s), verbs(english[key]); !slices.Equal(got, want) {
				t.Errorf("%s: %s has %v; English has %v", name, key, got, want)
			}
			// Any remaining special character is a verb of another form, or a placeholder of the
			// original catalogue.
			if rest := verb.ReplaceAllString(s, ""); strings.ContainsAny(rest, "%${}") {
				t.Errorf("%s: %s is %q", name, key, s)
			}
			if s != strings.TrimSpace(s) {
				t.Errorf("%s: %s begins or ends with a space", name, key)
			}
		}
	}
}

func TestTextPutsItsArgumentsIntoEveryLanguage(t *testing.T) {
	args := []any{"«eins»", "«zwei»", "«drei»", "«vier»", "«fünf»"}
	for _, name := range Messages() {
		for _, key := range Keys() {
			got := Text(name, key, args...)
			want := tables[name][key]
			for i, a := range args {
				want = strings.ReplaceAll(want, fmt.Sprintf("%%[%d]s", i+1), a.(string))
			}
			if got != want {
				t.Errorf("%s: %s is %q; want %q", name, key, got, want)
			}
		}
	}
}

func TestSomeTextsAreThoseThatClientsExpect(t *testing.T) {
	for want, got := range map[string]string{
		"Cannot complete login due to an incorrect user name or password.": Text("en", "fault.InvalidLogin"),
		"The session is not authenticated.":                                Text("en", "fault.NotAuthenticated"),
		"Permission to perform this operation was denied.":                 Text("en", "fault.NoPermission"),
		"A specified parameter was not correct: spec.method": Text("en", "fault.InvalidArgument",
			"spec.method"),
		"The object 'vim.Folder:group-d9' has already been deleted or has not been completely created": Text(
			"en", "fault.ManagedObjectNotFound", "vim.Folder:group-d9"),
		"User u@127.0.0.1 logged out (login time: 2025-03-01T09:30:00Z, number of API invocations: 1234567, user " +
			"agent: curl)": Text(
			"en", "event.UserLogoutSessionEvent", "u", "127.0.0.1",
			time.Date(2025, 3, 1, 10, 30, 0, 5, time.FixedZone("", 3600)), int64(1234567), "curl"),
	} {
		if got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

func TestAnUnknownLanguageGetsEnglishAndAnUnknownKeyItself(t *testing.T) {
	for _, name := range []string{"", "sv", "en_US", "zh", "xx_YY", "\xff"} {
		if got := Text(name, "fault.NotFound"); got != english["fault.NotFound"] {
			t.Errorf("%q: %q", name, got)
		}
		if got, want := Text(name, "fault.InvalidArgument", "x"),
			"A specified parameter was not correct: x"; got != want {
			t.Errorf("%q: got %q; want %q", name, got, want)
		}
	}
	for _, key := range []string{"", "fault.", "no such key", "100% ${wrong} %[1]s"} {
		if got := Text("de", key, "argument"); got != key {
			t.Errorf("got %q; want %q", got, key)
		}
	}
}

func TestArgumentsAreFormattedPlainlyAndNotInterpreted(t *testing.T) {
	for _, name := range Messages() {
		for _, tt := range []struct {
			arg  any
			want string
		}{
			{"100% %[1]s %d ${user}", "100% %[1]s %d ${user}"},
			{12345678, "12345678"},
			{int32(-2000), "-2000"},
			{int64(1) << 62, "4611686018427387904"},
			{uint16(65535), "65535"},
			{time.Time{}, ""},
			{nil, ""},
			{[]string{"a", "b"}, "[a b]"},
		} {
			got := Text(name, "fault.InvalidArgument", tt.arg)
			want := strings.ReplaceAll(tables[name]["fault.InvalidArgument"], "%[1]s", tt.want)
			if got != want {
				t.Errorf("%s: got %q; want %q", name, got, want)
			}
		}
	}
}

func TestMissingArgumentsAreEmptyAndSurplusOnesIgnored(t *testing.T) {
	for _, name := range Messages() {
		for _, key := range Keys() {
			few, many := Text(name, key), Text(name, key, 1, 2, 3, 4, 5, 6, 7, 8, 9)
			if strings.ContainsAny(few+many, "%") {
				t.Errorf("%s: %s: %q, %q", name, key, few, many)
			}
		}
	}
}

func TestEveryEventHasAsManyFieldsAsItsTextTakes(t *testing.T) {
	names := []string{"user", "address", "agent", "session", "subject", "message", "prev", "login", "calls", "type"}
	for key, s := range english {
		name, ok := strings.CutPrefix(key, "event.")
		if !ok {
			continue
		}
		typ, id := name, ""
		if strings.HasPrefix(name, "vigate.") {
			typ, id = "EventEx", name
		}
		got, fields := EventKey(typ, id)
		if got != key || len(fields) < countArgs(s) {
			t.Errorf("EventKey(%s, %s) = %s, %v; the text is %q", typ, id, got, fields, s)
		}
		for _, f := range fields {
			if !slices.Contains(names, f) {
				t.Errorf("%s: no such field: %s", key, f)
			}
		}
	}
	for typ := range eventFields {
		if _, ok := english["event."+typ]; !ok {
			t.Errorf("event %s has fields and no text", typ)
		}
	}
}

func TestEventsWithoutATextOfTheirOwnGetTheGeneralOne(t *testing.T) {
	for _, e := range [][2]string{
		{"", ""}, {"EventEx", ""}, {"EventEx", "com.example.made"}, {"EventEx", "vigate.no.such"}, {"EventEx", "other"},
		{"other", ""}, {"VmPoweredOnEvent", ""}, {"ExtendedEvent", "vigate.role.added"},
		{"UserLoginSessionEvent", "com.example.made"},
	} {
		key, fields := EventKey(e[0], e[1])
		if key != "event.other" || !slices.Equal(fields, []string{"type", "user"}) {
			t.Errorf("%v: %s %v", e, key, fields)
		}
		fields[0] = "changed"
	}
}

func TestTextIsSafeForConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for i, name := range Messages() {
		for j := range 4 {
			wg.Go(func() {
				arg := fmt.Sprint(i, j)
				want := strings.ReplaceAll(tables[name]["fault.InvalidArgument"], "%[1]s", arg)
				for range 200 {
					if got := Text(name, "fault.InvalidArgument", arg); got != want {
						t.Errorf("%s: got %q; want %q", name, got, want)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

func BenchmarkText(b *testing.B) {
	login := time.Date(2025, 3, 1, 10, 30, 0, 0, time.UTC)
	for name, f := range map[string]func() string{
		"plain": func() string { return Text("de", "fault.NotAuthenticated") },
		"one":   func() string { return Text("de", "fault.InvalidArgument", "spec.method") },
		"five": func() string {
			return Text("ja", "event.UserLogoutSessionEvent", "u", "127.0.0.1", login, int64(1000), "curl")
		},
		"unknown": func() string { return Text("de", "fault.NoSuchFault") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if f() == "" {
						b.Error("empty")
					}
				}
			})
		})
	}
}

// BenchmarkCompile measures the cost of the first Text in a process.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if len(compile().printers) != len(tables) {
			b.Fatal("not all languages")
		}
	}
}

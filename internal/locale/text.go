package locale

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

// tables are the texts of each message locale. English defines the keys. All verbs have the form
// %[n]s, because Text converts its arguments to strings first. A number therefore looks the same in
// every language, and the format does not depend on an argument's type.
var tables = map[string]map[string]string{
	"en":    english,
	"de":    german,
	"es":    spanish,
	"fr":    french,
	"it":    italian,
	"ja":    japanese,
	"ko":    korean,
	"zh_CN": simplifiedChinese,
	"zh_TW": traditionalChinese,
}

// texts are the compiled tables.
type texts struct {
	args     map[string]int // number of arguments of each text, by key
	printers map[string]*message.Printer
}

var compiled = sync.OnceValue(compile)

func compile() *texts {
	t := &texts{args: make(map[string]int, len(english)), printers: make(map[string]*message.Printer, len(tables))}
	for key, s := range english {
		t.args[key] = countArgs(s)
	}
	builder := catalog.NewBuilder(catalog.Fallback(language.English))
	for name, table := range tables {
		tag := language.MustParse(name)
		for key, s := range table {
			if err := builder.SetString(tag, key, s); err != nil {
				// This is a mistake in the tables above. No input can cause it.
				panic(fmt.Sprintf("compile text %s in %s: %v", key, name, err))
			}
		}
		t.printers[name] = message.NewPrinter(tag, message.Catalog(builder))
	}
	return t
}

var verb = regexp.MustCompile(`%\[([1-9])\]s`)

// countArgs returns the highest argument number of the verbs in s.
func countArgs(s string) int {
	most := 0
	for _, m := range verb.FindAllStringSubmatch(s, -1) {
		most = max(most, int(m[1][0]-'0'))
	}
	return most
}

// Text returns the text with the key in a message locale. If messageLocale is not one of Messages,
// the text is in English. An unknown key is returned unchanged. Missing arguments are empty, and
// surplus arguments are ignored. Numbers are formatted without separators, times as RFC 3339 in
// UTC, and the zero time as an empty string.
//
// Text is safe for concurrent use, because it only reads the printers.
func Text(messageLocale, key string, args ...any) string {
	t := compiled()
	n, ok := t.args[key]
	if !ok {
		return key
	}
	if n == 0 {
		return plain(messageLocale, key)
	}
	p := t.printers[messageLocale]
	if p == nil {
		p = t.printers[Default]
	}
	words := make([]any, n)
	for i := range words {
		words[i] = ""
		if i < len(args) {
			words[i] = word(args[i])
		}
	}
	return p.Sprintf(key, words...)
}

// plain returns a text without arguments. Most texts have none, and need no formatting.
func plain(messageLocale, key string) string {
	if s, ok := tables[messageLocale][key]; ok {
		return s
	}
	return english[key]
}

// word formats one argument.
func word(a any) string {
	switch v := a.(type) {
	case nil:
		return ""
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case int32:
		return strconv.FormatInt(int64(v), 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(a)
}

// Keys returns the keys of all texts, sorted.
func Keys() []string { return slices.Sorted(maps.Keys(english)) }

// eventFields are the facts of an event that are the arguments of its text, in order. Types and ids
// that are not listed have the fields of their group, see EventKey.
var eventFields = map[string][]string{
	"UserLoginSessionEvent":            {"user", "address", "agent"},
	"UserLogoutSessionEvent":           {"user", "address", "login", "calls", "agent"},
	"SessionTerminatedEvent":           {"user", "session", "subject"},
	"BadUsernameSessionEvent":          {"user", "address"},
	"NoAccessUserEvent":                {"user", "address"},
	"AlreadyAuthenticatedSessionEvent": {"user"},
	"GlobalMessageChangedEvent":        {"user", "prev", "message"},
	"ServerStartedSessionEvent":        {},
	"GeneralUserEvent":                 {"user", "message"},
	"vigate.login.failed":              {"calls", "address", "login"},
	"other":                            {"type", "user"},
}

// ownFields are the fields of all vigate.* events that are not in eventFields.
var ownFields = []string{"user", "subject"}

// EventKey returns the key of an event's text and the names of the facts that are the text's
// arguments, in order. The event is of the API's type typ. If typ is EventEx, id is its
// eventTypeId. The names are:
//
//	user     user who acted (Text of "principal.anonymous" if nobody was logged in)
//	address  address of the client
//	agent    user agent of the client
//	session  key of the session that the event concerns
//	subject  user or object that the event concerns
//	message  the message
//	prev     the message before it
//	login    time when the session began; for failed logins the time of the first
//	calls    number of calls of the session; for failed logins their number
//	type     the eventTypeId, or the type if there is no id
//
// An event without a text of its own gets the text "event.other". The caller may change the
// returned slice.
func EventKey(typ, id string) (key string, fields []string) {
	if typ == "EventEx" && strings.HasPrefix(id, "vigate.") {
		if f, ok := eventFields[id]; ok {
			return "event." + id, slices.Clone(f)
		}
		if _, ok := english["event."+id]; ok {
			return "event." + id, slices.Clone(ownFields)
		}
	}
	if f, ok := eventFields[typ]; ok && id == "" && typ != "other" {
		return "event." + typ, slices.Clone(f)
	}
	return "event.other", slices.Clone(eventFields["other"])
}

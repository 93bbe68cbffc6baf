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

// tables are the texts of each message locale. English says which keys there
// are. All verbs are of the form %[n]s: Text makes strings of its arguments, so
// that a number looks the same in every language and never depends on its type.
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

// texts are the tables, compiled.
type texts struct {
	args     map[string]int // by key, how many its texts take
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
				// A fault of the tables above, which no input can cause.
				panic(fmt.Sprintf("compile text %s in %s: %v", key, name, err))
			}
		}
		t.printers[name] = message.NewPrinter(tag, message.Catalog(builder))
	}
	return t
}

var verb = regexp.MustCompile(`%\[([1-9])\]s`)

// countArgs returns the highest number of a verb in s.
func countArgs(s string) int {
	most := 0
	for _, m := range verb.FindAllStringSubmatch(s, -1) {
		most = max(most, int(m[1][0]-'0'))
	}
	return most
}

// Text returns the text of key in a message locale, which is one of Messages;
// any other gives English. An unknown key is returned as it is. Arguments that
// are missing are empty, those too many are ignored. Numbers are written plain,
// times as RFC 3339 in UTC, the zero time as nothing.
//
// It may be called at the same time by many: a printer is only read.
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

// plain returns a text that takes no arguments. These are most of the texts,
// and there is nothing to format in them.
func plain(messageLocale, key string) string {
	if s, ok := tables[messageLocale][key]; ok {
		return s
	}
	return english[key]
}

// word writes one argument.
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

// eventFields are the facts of an event that its text takes, in the order of
// the text's arguments. Types and ids that are not here have the fields of
// their group, see EventKey.
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

// ownFields are those of every vigate.* event that is not in eventFields.
var ownFields = []string{"user", "subject"}

// EventKey returns the key of the text for an event of the API's type typ, or
// of an eventTypeId id where typ is EventEx, and the names of the facts that
// are its arguments, in order:
//
//	user     who acted (Text of "principal.anonymous" for nobody)
//	address  from where
//	agent    the user agent
//	session  the key of the session it was done to
//	subject  whom or what it was done to
//	message  the message
//	prev     the message before
//	login    when the session began, a time; of failed logins the first of them
//	calls    how many calls it made, a number; of failed logins how many there were
//	type     the eventTypeId, or the type where there is none
//
// Events that have no text of their own get that of "event.other". The slice
// is the caller's.
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

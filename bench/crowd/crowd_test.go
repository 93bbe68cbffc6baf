//go:build linux

package crowd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/bench/load"
)

var inventory = Inventory{
	Machines: []Machine{{"one", "vm-1"}, {"two", "vm-2"}, {"three", "vm-3"}}, Folder: "group-v3", Path: "/DC0/vm",
}

// front answers as a front does, each session by its own key. spoil changes an answer.
type front struct {
	sessions atomic.Int64
	spoil    func(method, answer string) (int, string)
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	body := string(b)
	key := r.Header.Get("vmware-api-session-id")
	if c, err := r.Cookie("vmware_soap_session"); err == nil {
		key = c.Value
	}
	var method, answer string
	switch _, last, _ := strings.Cut(r.URL.Path, "SessionManager/SessionManager/"); {
	case last == "AcquireCloneTicket":
		answer = `"ticket"`
	case last != "":
		key := fmt.Sprintf("key-%d", f.sessions.Add(1))
		w.Header().Set("vmware-api-session-id", key)
		answer = `{"key":"` + key + `"}`
	case r.Method == http.MethodGet:
		method, answer = "VI JSON", `"`+named(r.URL.Path)+`"`
	default:
		method, answer = f.soap(key, body)
	}
	status := http.StatusOK
	if method == "" || f.spoil == nil {
		_, _ = io.WriteString(w, answer)
		return
	}
	if status, answer = f.spoil(method, answer); status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// named returns the name of the machine whose id is in a text.
func named(text string) string {
	for _, m := range inventory.Machines {
		if strings.Contains(text, m.ID) {
			return m.Name
		}
	}
	return "nothing"
}

func object(m Machine) string {
	return `<objects><obj type="VirtualMachine">` + m.ID + `</obj><propSet><val>` + m.Name +
		`</val></propSet></objects>`
}

func (f *front) soap(key, body string) (method, answer string) {
	var asked []Machine
	for _, m := range inventory.Machines {
		if strings.Contains(body, m.ID) || strings.Contains(body, "selectSet") ||
			strings.Contains(body, "/"+m.Name+"<") {
			asked = append(asked, m)
		}
	}
	_, rest, _ := strings.Cut(body, "<Body><")
	method, _, _ = strings.Cut(rest, " ")
	switch method {
	case "RetrievePropertiesEx":
		if strings.Contains(body, "currentSession") {
			return "session", "<key>" + key + "</key>"
		}
		if strings.Contains(body, "maxObjects") {
			first, second := asked[0], asked[1]
			if strings.Index(body, first.ID) > strings.Index(body, second.ID) {
				first, second = second, first
			}
			return method, "<token>" + second.ID + "</token>" + object(first)
		}
		for _, m := range asked {
			answer += object(m)
		}
		return method, answer
	case "ContinueRetrievePropertiesEx":
		return method, object(asked[0])
	case "CreatePropertyCollector":
		return method, `<returnval type="PropertyCollector">session[` + key + `]c</returnval>`
	case "CreateFilter":
		return method, `<returnval type="PropertyFilter">session[` + key + `]` + asked[0].ID + `</returnval>`
	case "WaitForUpdatesEx":
		if !strings.Contains(body, "session["+key+"]c<") {
			return "foreign id", "ManagedObjectNotFound"
		}
		var n int
		_, _ = fmt.Sscanf(key, "key-%d", &n)
		m := inventory.Machines[(n-1)%len(inventory.Machines)]
		return method, "<filterSet><filter>session[" + key + "]" + m.ID + "</filter>" + object(m)
	}
	return method, "<returnval>" + asked[0].ID + "</returnval><returnval>" + asked[0].Name + "</returnval>"
}

func gather(t *testing.T, f *front) *Crowd {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c, err := Gather(t.Context(), Config{
		Front: load.Target{Address: s.Listener.Addr().String()}, User: "user", Password: "word", Inventory: inventory,
		Conns: 1, // so that the sessions begin in order
	}, 6)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// right returns what a front answers.
func right(method, answer string) (int, string) {
	if method == "foreign id" {
		return http.StatusInternalServerError, answer
	}
	return http.StatusOK, answer
}

var all = append(append(append([]kind{}, Reads...), Pages...), Own...)

func TestACrowdFindsNothingWrongWhereNothingIs(t *testing.T) {
	c := gather(t, &front{spoil: right})
	if err := c.Equip(t.Context()); err != nil {
		t.Fatal(err)
	}
	tally, err := c.Each(t.Context(), 50, all...)
	if err != nil || tally.Bad() != 0 || c.Size() != 6 {
		t.Errorf("%v, %v", tally, err)
	}
	for _, k := range all {
		if tally.calls[k.name] == 0 {
			t.Errorf("no call of the kind %q", k.name)
		}
	}
}

func TestACrowdFindsAnswersThatAreNotItsOwn(t *testing.T) {
	replace := func(old, with string) func(method, answer string) (int, string) {
		return func(method, answer string) (int, string) {
			status, answer := right(method, answer)
			return status, strings.ReplaceAll(answer, old, with)
		}
	}
	for what, c := range map[string]struct {
		kinds         []kind
		spoil         func(method, answer string) (int, string)
		wrong, failed bool
	}{
		"another machine":         {Reads[:1], replace("three", "two"), true, false},
		"one object too few":      {Reads[1:2], replace(object(inventory.Machines[1]), ""), true, false},
		"another object":          {Reads[2:3], replace("vm-3", "vm-2"), true, false},
		"another name":            {Reads[3:4], replace("three", "one"), true, false},
		"another name in JSON":    {Reads[4:5], replace("three", "one"), true, false},
		"another session":         {Reads[5:6], replace("key-2", "key-1"), true, false},
		"something missing":       {Reads[:1], replace("</objects>", "</objects><missingSet/>"), true, false},
		"the first page again":    {Pages, replace("<token>vm-2", "<token>vm-3"), true, false},
		"updates of another":      {Own[:1], replace("three", "one"), true, false},
		"a filter of another":     {Own[:1], replace("session[key-2]", "session[key-1]"), true, false},
		"a collector of another":  {Own[1:], func(_, answer string) (int, string) { return 200, answer }, true, false},
		"an id beside the answer": {Reads[:1], replace("</objects>", "</objects>session[key-9]x"), true, false},
		"a refusal": {Reads, func(string, string) (int, string) {
			return http.StatusServiceUnavailable, "busy"
		}, false, true},
	} {
		f := &front{spoil: right}
		crowd := gather(t, f)
		if err := crowd.Equip(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.spoil = c.spoil
		tally, err := crowd.Each(t.Context(), 40, c.kinds...)
		if err != nil || tally.wrong > 0 != c.wrong || tally.failed > 0 != c.failed || len(tally.first) == 0 {
			t.Errorf("%s: %v, %v", what, tally, err)
		}
	}
}

func TestALoadGoesOnUntilItsTimeIsOver(t *testing.T) {
	f := &front{spoil: right}
	c := gather(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	tally, err := c.Load(ctx, Reads...)
	if err != nil || tally.Bad() != 0 || ctx.Err() == nil {
		t.Errorf("%v, %v", tally, err)
	}
	f.spoil = func(string, string) (int, string) { return 0, "" }
	if tally, err := c.Load(t.Context(), Reads...); err == nil || tally.failed != 1 {
		t.Errorf("after its connection broke: %v, %v", tally, err)
	}
}

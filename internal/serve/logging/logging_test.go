package logging_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/serve/logging"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// maxLine is the longest line that a caller may cause in the log, in bytes.
const maxLine = 16 << 10

// output is a log that a test can read while the server writes to it.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// take returns the text that was written since the last call of take.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.b.Reset()
	return o.b.String()
}

// filler fills arguments with texts of one kind and with long lists.
type filler struct {
	text  func(n int) string
	texts int // number of texts so far
	list  int // length of each list
}

// maxDeep is the greatest depth of lists, pointers and interfaces.
const maxDeep = 3

func (f *filler) fill(v reflect.Value, deep int) {
	switch v.Kind() {
	case reflect.String:
		f.texts++
		v.SetString(f.text(f.texts))
	case reflect.Pointer:
		if deep < maxDeep {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), deep+1)
		}
	case reflect.Interface:
		if deep >= maxDeep {
			return
		}
		if t, ok := types.TypeFunc()(strings.TrimPrefix(v.Type().Name(), "Base")); ok && t.Kind() == reflect.Struct &&
			reflect.PointerTo(t).Implements(v.Type()) {
			p := reflect.New(t)
			f.fill(p.Elem(), deep+1)
			v.Set(p)
		} else if v.NumMethod() == 0 {
			f.texts++
			v.Set(reflect.ValueOf(f.text(f.texts)))
		}
	case reflect.Slice:
		if deep >= maxDeep {
			return
		}
		n := f.list
		if deep > 0 {
			n = 3
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i), deep+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[types.ManagedObjectReference]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "This" {
				f.fill(v.Field(i), deep)
			}
		}
	}
}

var fillers = map[string]func() *filler{
	"long texts": func() *filler {
		return &filler{list: 3, text: func(n int) string { return strings.Repeat(fmt.Sprintf("name %d ", n), 3_000) }}
	},
	"texts that do not print": func() *filler {
		return &filler{list: 3, text: func(int) string { return strings.Repeat("\x00\u202e\xff\"\\", 3_000) }}
	},
	"many texts": func() *filler {
		return &filler{list: 300, text: func(n int) string {
			return fmt.Sprint("name-", n)
		}}
	},
	"many long texts": func() *filler {
		return &filler{list: 300, text: func(n int) string { return strings.Repeat("n", 400) + fmt.Sprint(n) }}
	},
}

// No arguments of any method, from any caller, cause a long line in the log.
func TestNoArgumentMakesALongLineOfTheLog(t *testing.T) {
	for _, format := range []config.LogFormat{config.LogText, config.LogJSON} {
		log := &output{}
		f := vimtest.New(t, func(d *vimtest.Parts) {
			d.Logger = logging.New(config.Config{LogFormat: format, LogLevel: slog.LevelDebug}, log)
		})
		f.Must(property.Serve(f.API, f.Sessions))
		hostile := strings.Repeat("\x1b", 10_000)
		for _, o := range f.Objects() {
			for _, m := range o.Methods {
				for name, filler := range fillers {
					args := m.NewArgs()
					filler().fill(reflect.ValueOf(args).Elem(), 0)
					for _, token := range []string{f.Admin, f.Ann, ""} {
						c := &vim.Call{
							Object: types.ManagedObjectReference{Type: o.Type, Value: o.ID}, Name: m.Name, Args: args,
							Token:   secret.New(token),
							Release: vim.FirstRelease, Binding: "test", AcceptLanguage: hostile,
							HTTP: vim.HTTPRequest{Method: "POST", Target: hostile, Ticket: secret.New(hostile)},
						}
						if o.ID == "" {
							c.Object.Value = hostile
						}
						if m.Waits || m.Name == "Logout" {
							continue // they need no arguments, or would end the session that the other calls use
						}
						_, fault := f.Do(context.Background(), c)
						c.Answered()
						if n := longest(log.take()); n > maxLine {
							t.Errorf("%s.%s with %s: a line of %d bytes (%v)", o.Type, m.Name, name, n, fault)
						}
						if token != "" && !f.Alive(token) {
							t.Fatalf("%s.%s ended the session", o.Type, m.Name)
						}
					}
				}
			}
		}
	}
}

func longest(log string) int {
	n := 0
	for line := range strings.SplitSeq(log, "\n") {
		n = max(n, len(line))
	}
	return n
}

func TestALineAboutManyNamesHasTheFirstAndTheirNumber(t *testing.T) {
	log := &output{}
	f := vimtest.New(t, func(d *vimtest.Parts) {
		d.Logger = logging.New(config.Config{LogFormat: config.LogText}, log)
	})
	var keys []string
	for range 100 {
		l, _, err := f.Sessions.Start(t.Context(), session.Grant{Identity: f.Session(f.Ann).Identity(), Method: "test"})
		f.Must(err)
		keys = append(keys, l.Key().String())
	}
	log.take()
	vimtest.OK(f.On("SessionManager", "TerminateSession", &types.TerminateSessionRequestType{SessionId: keys}))
	line := log.take()
	if strings.Count(line, "\n") != 1 || strings.Count(line, "terminated=") != 32 ||
		!strings.Contains(line, "more=68") ||
		!strings.Contains(line, "terminated="+keys[0]+" ") {
		t.Errorf("got %s", line)
	}
}

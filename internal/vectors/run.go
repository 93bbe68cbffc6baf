package vectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vim"
)

// Call is a call that a binding must make.
type Call struct {
	Object types.ManagedObjectReference
	Name   string
	Read   bool
	// Args are the arguments in the form of VI JSON, or nil.
	Args json.RawMessage
	// Token is the token that the caller sends, or "".
	Token          string
	AcceptLanguage string
	Peer           peer.Peer
}

// Outcome is the result of a call, in the form of VI JSON for every binding.
type Outcome struct {
	// Result is the result, or nil if there is none.
	Result json.RawMessage
	// Fault is the fault with its text in faultstring, or nil for success.
	Fault json.RawMessage
	// Token is the token in the response, or "".
	Token string
}

// Binding makes calls over the network protocol of a binding, to the API that it was made for. It
// returns an error only for a response that does not conform to the binding.
type Binding interface {
	Do(context.Context, Call) (Outcome, error)
}

// Run runs all vectors against a binding. Each vector has its own World.
func Run(t *testing.T, bind func(testing.TB, *vim.API) Binding) {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("there are no vectors")
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			w := NewWorld(t, v.features()...)
			r := &runner{world: w, binding: bind(t, w.API), kept: map[string]string{}, peer: w.Peer}
			for _, s := range v.Steps {
				if err := r.step(t.Context(), s); err != nil {
					t.Fatalf("line %d: %v", s.Line, err)
				}
			}
		})
	}
}

// features returns the features that the vector's server must have.
func (v Vector) features() []string {
	var all []string
	for _, s := range v.Steps {
		if s.Word == "have" && isFeature(s.Rest) {
			all = append(all, s.Rest)
		}
	}
	return all
}

// runner runs one vector.
type runner struct {
	world   *World
	binding Binding
	token   string
	lang    string
	peer    peer.Peer
	kept    map[string]string
	last    Outcome
}

func (r *runner) step(ctx context.Context, s Step) error {
	switch s.Word {
	case "as":
		token, err := r.who(s.Rest)
		r.token = token
		return err
	case "with":
		return r.with(s.Rest)
	case "have":
		return r.world.Have(s.Rest)
	case "after":
		r.world.Pass(s.after)
		return nil
	case "keep":
		return r.keep(s.Rest)
	}
	return r.call(ctx, s)
}

// who returns the token of a caller.
func (r *runner) who(name string) (string, error) {
	if name == "anonymous" {
		return "", nil
	}
	if token, ok := r.kept[name]; ok {
		return token, nil
	}
	return r.world.Token(name)
}

func (r *runner) with(rest string) error {
	what, value, _ := strings.Cut(rest, " ")
	switch what {
	case "language":
		r.lang = value
	case "local":
		r.peer.Address, r.peer.Local = "127.0.0.1", true
	case "certificate":
		c, err := r.world.Certificate(value)
		if err != nil {
			return err
		}
		r.peer.Certificates = c
	default:
		return fmt.Errorf("unknown circumstance %q", what)
	}
	return nil
}

// keep gives a name to a value of the last response.
func (r *runner) keep(rest string) error {
	name, member, _ := strings.Cut(rest, " ")
	if name == "token" {
		if r.last.Token == "" {
			return fmt.Errorf("the response has no token to keep")
		}
		r.kept[member] = r.last.Token
		return nil
	}
	value := r.last.Result
	if member != "" {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil || members[member] == nil {
			return fmt.Errorf("the result has no member %s", member)
		}
		value = members[member]
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		text = string(value)
	}
	r.kept[name] = text
	return nil
}

// known returns the value that ${name} stands for.
func (r *runner) known(name string) (string, bool) {
	if v, ok := r.kept[name]; ok {
		return v, true
	}
	who, what, ok := strings.Cut(name, ".")
	if !ok {
		return "", false
	}
	switch what {
	case "token":
		v, err := r.who(who)
		return v, err == nil
	case "key":
		v, err := r.world.Key(who)
		return v, err == nil
	case "pem":
		v, err := r.world.PEM(who)
		return v, err == nil
	}
	return "", false
}

func (r *runner) call(ctx context.Context, s Step) error {
	object, name, ok := cutLast(fill(s.Rest, r.known))
	if !ok {
		return fmt.Errorf("%q is not OBJECT.NAME", s.Rest)
	}
	typ, id, given := strings.Cut(object, "/")
	if !given {
		id = r.world.ID(typ)
	}
	c := Call{
		Object: types.ManagedObjectReference{Type: typ, Value: id}, Name: name, Read: s.Word == "read",
		Token: r.token, AcceptLanguage: r.lang, Peer: r.peer,
	}
	if s.Args != nil {
		filled := fill(string(s.Args), r.known)
		if placeholder.MatchString(filled) {
			return fmt.Errorf("unknown name %s", placeholder.FindString(filled))
		}
		c.Args = json.RawMessage(filled)
	}
	got, err := r.binding.Do(ctx, c)
	if err != nil {
		return err
	}
	r.last = got
	return r.check(s, got)
}

func (r *runner) check(s Step, got Outcome) error {
	want := fill(string(s.JSON), r.known)
	var err error
	switch {
	case s.Want == "fault" && got.Fault == nil:
		return fmt.Errorf("got %s, want a fault", got.Result)
	case s.Want == "fault":
		err = match(json.RawMessage(want), got.Fault)
	case got.Fault != nil:
		return fmt.Errorf("got the fault %s", got.Fault)
	case s.Want == "result":
		err = match(json.RawMessage(want), got.Result)
	case s.Want == "none" && got.Result != nil:
		err = fmt.Errorf("got %s, want none", got.Result)
	}
	if err != nil {
		return err
	}
	if s.Want != "" && s.Token != (got.Token != "") {
		return fmt.Errorf("has a token: %v, want %v", got.Token != "", s.Token)
	}
	return r.silent(got)
}

// silent checks that the body of the response contains no token.
func (r *runner) silent(got Outcome) error {
	tokens := append(r.world.Tokens(), r.token, got.Token)
	for _, token := range tokens {
		if token != "" && (bytes.Contains(got.Result, []byte(token)) || bytes.Contains(got.Fault, []byte(token))) {
			return fmt.Errorf("the response's body contains a token")
		}
	}
	return nil
}

// cutLast splits OBJECT.NAME at the last dot, because an object's id may contain dots.
func cutLast(s string) (object, name string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

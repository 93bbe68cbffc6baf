// Package vectors is a helper for tests: golden exchanges with the API, one file
// each, in words that no binding has for its own. A binding's tests run them all
// by Run.
//
// A file is a few steps, each a line that begins with one of these words:
//
//	# TEXT                what is shown, and the clause that asks for it
//	as WHO                who calls from here on: anonymous, administrator,
//	                      reader, nobody, or a token kept before
//	with language TAG     what the caller's Accept-Language says from here on
//	with certificate NAME the client certificate of its connection
//	with local            it is on the server's machine
//	have kerberos         the server has a keytab: a token is a user's name
//	have issuer USER      it trusts an issuer, whose tokens are the user's
//	have local-tickets    it gives local tickets on loopback
//	have namesake USER    an older version has registered an extension under the
//	                      user's name
//	have objects USER     the user's session has all objects of its own that it may
//	have shutdown         the server is about to shut down
//	after DURATION        time passes
//	call OBJECT.METHOD    with its arguments as JSON on the lines that follow
//	read OBJECT.PROPERTY
//	keep NAME [MEMBER]    name the result of the call before, or a member of it
//	keep token NAME       name the token that the call before gave
//	result JSON           it gave this, on this line and those that follow
//	result JSON token     likewise, and a token
//	none                  it gave nothing: it is void, or unset
//	fault JSON            it failed so, faultstring and all
//
// OBJECT is a type, or type/moId. A call without an expectation has to succeed;
// the last one needs one. ${NAME} stands for what was kept, and besides for
// ${WHO.key}, ${WHO.token} and ${NAME.pem}; in an expectation also for what can
// not be known: ${uuid}, ${time}, ${int}, ${ticket}, ${text}; and for the rest of
// a list that is long, or that grows with the server: ${more}, its last element.
package vectors

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

//go:embed testdata
var files embed.FS

// Vector is one file.
type Vector struct {
	// Name is OBJECT/OPERATION-CASE, or OBJECT/CASE of what many operations show.
	Name  string
	Steps []Step
}

// Step is one call and what it must give, or a change of circumstances.
type Step struct {
	Line int
	Word string // call, read, as, with, have, after, keep
	Rest string
	// Args of a call, nil for none.
	Args json.RawMessage
	// Want of a call: result, none, fault, or "" for any success.
	Want string
	// JSON is the result or the fault wanted.
	JSON  json.RawMessage
	Token bool // the call must give a token
	after time.Duration
}

// All reads every vector, in the order of the names.
func All() ([]Vector, error) {
	var all []Vector
	err := fs.WalkDir(files, "testdata", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		steps, err := parse(string(b))
		if err != nil {
			return fmt.Errorf("read vector %s: %w", name, err)
		}
		all = append(all, Vector{strings.TrimSuffix(strings.TrimPrefix(name, "testdata/"), path.Ext(name)), steps})
		return nil
	})
	return all, err
}

var words = map[string]bool{
	"as": true, "with": true, "have": true, "after": true, "call": true, "read": true, "keep": true, "result": true, "none": true, "fault": true,
}

// parse reads a file strictly.
func parse(text string) ([]Step, error) {
	var steps []Step
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := i + 1
		word, rest, _ := strings.Cut(line, " ")
		if !words[word] {
			return nil, fmt.Errorf("line %d: unknown word %q", at, word)
		}
		// A JSON value goes on until a line begins another step.
		var block []string
		for i+1 < len(lines) && !begins(lines[i+1]) {
			i++
			block = append(block, lines[i])
		}
		var err error
		if steps, err = add(steps, at, word, strings.TrimSpace(rest), strings.Join(block, "\n")); err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
	}
	if len(steps) == 0 || steps[len(steps)-1].Want == "" {
		return nil, fmt.Errorf("the last step expects nothing")
	}
	return steps, nil
}

func begins(line string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	return words[word] || strings.HasPrefix(word, "#")
}

func add(steps []Step, line int, word, rest, block string) ([]Step, error) {
	block = strings.TrimSpace(block)
	switch word {
	case "result", "none", "fault":
		return steps, expect(steps, word, rest, block)
	case "call":
		s := Step{Line: line, Word: word, Rest: rest}
		if block != "" {
			s.Args = json.RawMessage(block)
			// Placeholders stand inside strings, so that it is JSON already.
			if !json.Valid(s.Args) {
				return nil, fmt.Errorf("the arguments are not JSON")
			}
		}
		return append(steps, s), nil
	}
	if block != "" {
		return nil, fmt.Errorf("%s takes no JSON", word)
	}
	s := Step{Line: line, Word: word, Rest: rest}
	if word == "after" {
		var err error
		if s.after, err = time.ParseDuration(rest); err != nil {
			return nil, err
		}
	}
	return append(steps, s), nil
}

// expect adds an expectation to the call before it.
func expect(steps []Step, word, rest, block string) error {
	if len(steps) == 0 {
		return fmt.Errorf("%s before any call", word)
	}
	s := &steps[len(steps)-1]
	if s.Word != "call" && s.Word != "read" || s.Want != "" {
		return fmt.Errorf("%s does not follow a call", word)
	}
	s.Want = word
	text := strings.TrimSpace(rest + "\n" + block)
	if cut, ok := strings.CutSuffix(text, " token"); ok && word == "result" {
		text, s.Token = cut, true
	}
	if cut, ok := strings.CutSuffix(text, "\ntoken"); ok && word == "result" {
		text, s.Token = cut, true
	}
	if word == "none" {
		if text != "" {
			return fmt.Errorf("none takes no JSON")
		}
		return nil
	}
	if s.JSON = json.RawMessage(text); !json.Valid(s.JSON) {
		return fmt.Errorf("the %s is not JSON", word)
	}
	return nil
}

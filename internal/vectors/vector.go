// Package vectors runs recorded conversations with the API ("vectors") against every binding. It is
// used only by tests.
//
// A vector is a file in testdata. It describes calls and their results in the form of VI JSON,
// independent of any binding. A test of a binding calls [Run] with a [Binding], which makes the
// calls in the binding's own protocol. So each case is written once and holds for all bindings. A
// test of this package fails if no vector shows an operation, a fault or a refusal of the API. A
// [World] is a complete API over a store in memory, with users and a clock; other tests use it too.
//
// A file consists of steps. Each step is a line that begins with one of these words:
//
//	# TEXT                what the vector shows, and the clause that requires it
//	as WHO                the caller of the following calls: anonymous,
//	                      administrator, reader, nobody, or a kept token
//	with language TAG     the caller's Accept-Language from here on
//	with certificate NAME the client certificate of the caller's connection
//	with local            the caller is on the server's machine
//	have kerberos         the server has a keytab; a token is a user's name
//	have issuer USER      the server trusts an issuer whose tokens are USER's
//	have local-tickets    the server allows local tickets on loopback
//	have namesake USER    an older version has registered an extension with
//	                      USER's name
//	have objects USER     USER's session has as many objects as it may have
//	have shutdown         the server is about to shut down
//	after DURATION        time passes
//	call OBJECT.METHOD    call a method; its arguments follow as JSON
//	read OBJECT.PROPERTY  read a property
//	keep NAME [MEMBER]    name the result of the last call, or a member of it
//	keep token NAME       name the token that the last call returned
//	result JSON           the last call must return this value; it may go on on
//	                      the next lines
//	result JSON token     the same, and the last call must return a token
//	none                  the last call must return nothing: it is void or unset
//	fault JSON            the last call must fail with this fault, including
//	                      the faultstring
//
// OBJECT is a type, or type/moId. A call without an expectation must succeed. The last call must
// have an expectation. ${NAME} is replaced by the kept value; ${WHO.key}, ${WHO.token} and
// ${NAME.pem} are predefined. An expectation can also contain placeholders for values that can't be
// known: ${uuid}, ${time}, ${int}, ${ticket} and ${text}. ${more} as the last element of a list
// stands for any number of further elements.
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

// Vector is the content of one file.
type Vector struct {
	// Name is OBJECT/OPERATION-CASE, or OBJECT/CASE if the vector shows several operations.
	Name  string
	Steps []Step
}

// Step is a call with its expectation, or a change of the circumstances.
type Step struct {
	Line int
	Word string // call, read, as, with, have, after or keep
	Rest string
	// Args are the arguments of a call, or nil.
	Args json.RawMessage
	// Want is the expectation of a call: result, none, fault, or "" for any success.
	Want string
	// JSON is the expected result or fault.
	JSON  json.RawMessage
	Token bool // whether the call must return a token
	after time.Duration
}

// All reads all vectors, sorted by name.
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
	"as": true, "with": true, "have": true, "after": true, "call": true, "read": true, "keep": true, "result": true,
	"none": true, "fault": true,
}

// parse parses a file strictly.
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
		// A JSON value continues until a line begins the next step.
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
			// Placeholders are inside of strings, so the text is already valid JSON.
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

// expect adds an expectation to the last call.
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

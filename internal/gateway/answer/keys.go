// Package answer removes from the answers of an upstream what clients of the gateway must not see, and makes answers
// of vigate's own.
//
// [Keys] finds the keys of upstream sessions anywhere in an answer. [Ticket] changes a ticket for the console of a
// virtual machine, so that it leads to the front. [Envelope] and [References] make answers of vigate's own. The
// package changes bytes. The caller knows which client owns which object.
package answer

import (
	"bytes"
	"io"
	"strings"
	"sync/atomic"

	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/secret"
)

// Client is who gets an answer.
type Client interface {
	// Keys returns the key of the client's own session, and that of the session at the upstream which has
	// answered.
	Keys() (own, upstream string)
	// Object returns the id by which the client knows an object of a session, if it may. before is the text before
	// the id.
	Object(real string, before []byte) (string, bool)
	// Thumbprint returns the replacement for the thumbprint of a certificate, of the server that a URL names.
	Thumbprint(text string) string
}

// Secrets are the keys and cookies of sessions. They never change, and are comparable.
type Secrets interface{ All() []secret.Text }

// Keys keeps the table of all secrets, as long as they are the same. The zero value is ready.
type Keys struct{ last atomic.Pointer[Set] }

// Set is the table of some secrets, and their texts in the order of the table. The shapes come after them.
type Set struct {
	from    Secrets
	table   *message.Table
	texts   []string
	secrets int // texts that are secrets
}

// shapes are the texts next to which an answer has the key of a session. A key is removed there even if vigate does
// not know the session: an event can have the key of a login that is not answered yet, and clients must not see the
// sessions of other servers of the cluster and of other programs either. The last shape follows a thumbprint.
var shapes = []string{endOfKey, "UserSession>", `UserSession">`, endOfThumbprint}

const endOfKey, endOfThumbprint = "</sessionId>", "</sslThumbprint>"

// reach is how much around a text is looked at, in bytes: the tag before an id, and the id itself.
const reach = 256

// Of returns the table for the secrets.
func (k *Keys) Of(from Secrets) *Set {
	if last := k.last.Load(); last != nil && last.from == from {
		return last
	}
	set := &Set{from: from}
	known := map[string]bool{}
	for _, s := range from.All() {
		if text := s.Reveal(); text != "" && !known[text] {
			known[text] = true
			set.texts = append(set.texts, text)
		}
	}
	set.secrets = len(set.texts)
	set.texts = append(set.texts, shapes...)
	set.table = message.NewTable(set.texts, reach)
	k.last.Store(set)
	return set
}

// Text returns a whole text as the client sees it.
func (s *Set) Text(c Client, b []byte) []byte { return s.table.Append(nil, b, &replacer{c, s}) }

// Value returns a short text, such as the value of a header, as the client sees it.
func (s *Set) Value(c Client, v string) string {
	if !s.table.In(v) {
		return v // as nearly all are
	}
	return string(s.Text(c, []byte(v)))
}

// Begin makes a stream that of an answer as the client sees it.
func (s *Set) Begin(stream *message.Stream, c Client, source io.Reader) {
	stream.Reset(s.table, &replacer{c, s}, source)
}

// replacer decides what a client sees instead of the keys of upstream sessions.
type replacer struct {
	client Client
	set    *Set
}

// Replace implements message.Replacer. The key in the id of an object is replaced together with the id.
func (r *replacer) Replace(out []byte, text int, rest []byte) ([]byte, int) {
	key := r.set.texts[text]
	if text >= r.set.secrets {
		return r.shape(out, key, rest)
	}
	for _, form := range []struct{ open, close string }{{"session[", "]"}, {"session%5B", "%5D"}} {
		if !endsFold(out, form.open) || len(rest) < len(form.close) ||
			!strings.EqualFold(string(rest[:len(form.close)]), form.close) {
			continue
		}
		end := len(form.close) + message.Word(rest[len(form.close):])
		real := "session[" + key + "]" + string(rest[len(form.close):end])
		before := out[:len(out)-len(form.open)]
		id, ok := r.client.Object(real, before)
		if !ok {
			break
		}
		if form.close != "]" {
			id = message.Escape(id)
		}
		return append(before, id...), end
	}
	return append(out, r.key(key)...), 0
}

// shape replaces the text next to a shape.
func (r *replacer) shape(out []byte, shape string, rest []byte) ([]byte, int) {
	if shape == endOfKey || shape == endOfThumbprint {
		return append(r.before(out, shape), shape...), 0
	}
	out = append(out, shape...)
	window := rest[:min(len(rest), reach)]
	_, inside, ok := bytes.Cut(window, []byte("<key>"))
	key, _, closed := bytes.Cut(inside, []byte("<"))
	opening := len(window) - len(inside)
	if !ok || !closed || len(bytes.TrimSpace(window[:opening])) != len("<key>") {
		return out, 0
	}
	out = append(out, window[:opening]...)
	return append(out, r.key(string(key))...), opening + len(key)
}

// before replaces the text of the element that the shape ends.
func (r *replacer) before(out []byte, shape string) []byte {
	window := out[max(0, len(out)-reach):]
	at := bytes.LastIndexByte(window, '>') + 1
	if at == 0 {
		return out
	}
	text := string(window[at:])
	with := text
	switch {
	case shape == endOfKey:
		with = r.key(text)
	case followsURL(string(window[:at])):
		with = r.client.Thumbprint(text)
	}
	return append(out[:len(out)-len(text)], with...)
}

// followsURL reports whether a text ends with a tag right behind a URL.
func followsURL(text string) bool {
	tag := text[strings.LastIndexByte(text, '<')+1:]
	return strings.HasSuffix(text, "</url><"+tag)
}

// key returns what a client sees instead of a text that is the key of a session. It is its own, or nobody's.
func (r *replacer) key(text string) string {
	own, upstream := r.client.Keys()
	if text == own || text == upstream {
		return own
	}
	return message.Masked(text)
}

func endsFold(out []byte, end string) bool {
	return len(out) >= len(end) && strings.EqualFold(string(out[len(out)-len(end):]), end)
}

package codec

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// The names of float values that are not numbers in JSON. Clients may send them as strings.
var notNumbers = map[string]string{"NaN": "NaN", "Infinity": "INF", "-Infinity": "-INF"}

// simple writes the text of a value that is neither an object nor a reference.
func (r *request) simple(s Shape) error {
	switch s.kind {
	case kindText, kindTime, kindBinary:
		return r.quoted(s)
	case kindFloat, kindDouble:
		return r.float(s)
	}
	switch r.Peek() {
	case '"', '{', '[', 'n':
		return r.want("a " + s.Name)
	}
	text := string(r.Literal())
	switch s.kind {
	case kindBoolean:
		if text != "true" && text != "false" {
			return r.want("a boolean")
		}
	case kindByte:
		// A byte is signed in the API and unsigned in govmomi. Clients send either.
		n, err := strconv.ParseInt(text, 10, 16)
		if err != nil || n < math.MinInt8 || n > math.MaxUint8 {
			return r.want("a byte")
		}
		text = strconv.Itoa(int(int8(n)))
	default:
		if _, err := strconv.ParseInt(text, 10, bits[s.kind]); err != nil {
			return r.want("a " + s.Name)
		}
	}
	r.out = append(r.out, text...)
	return nil
}

// quoted writes a value that JSON has as a string.
func (r *request) quoted(s Shape) error {
	if r.Peek() != '"' {
		return r.want("a " + s.Name)
	}
	text, err := r.Text()
	if err != nil {
		return vim.InvalidRequest(err.Error())
	}
	switch s.kind {
	case kindTime:
		t, err := schema.ParseRFC3339(text)
		if err != nil {
			return r.want(err.Error() + ", as RFC 3339 has it")
		}
		var ok bool
		if r.out, ok = schema.AppendDateTime(r.out, t); !ok {
			return r.want(schema.ErrYear.Error())
		}
		return nil
	case kindBinary:
		if _, ok := decodeBase64(text); !ok {
			return r.want("a string of base64")
		}
	}
	return r.text(text)
}

func (r *request) float(s Shape) error {
	if r.Peek() == '"' {
		text, err := r.Text()
		if err != nil {
			return vim.InvalidRequest(err.Error())
		}
		special, ok := notNumbers[text]
		if !ok {
			return r.want("a " + s.Name)
		}
		r.out = append(r.out, special...)
		return nil
	}
	text := string(r.Literal())
	if _, err := strconv.ParseFloat(text, bits[s.kind]); err != nil || text[0] > '9' {
		return r.want("a " + s.Name)
	}
	r.out = append(r.out, text...)
	return nil
}

func decodeBase64(text string) (b []byte, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	return b, err == nil && !strings.ContainsAny(text, "\r\n")
}

// octets writes bytes as one element for each. They are base64, or a list of numbers.
func (r *request) octets(name string) error {
	if r.Peek() == '[' {
		return r.list(name, Shape{Name: "byte", kind: kindByte})
	}
	if r.Peek() != '"' {
		return r.want("a string of base64")
	}
	text, err := r.Text()
	if err != nil {
		return vim.InvalidRequest(err.Error())
	}
	b, ok := decodeBase64(text)
	if !ok {
		return r.want("a string of base64")
	}
	for _, octet := range b {
		if len(r.out) > r.limit {
			return vim.InvalidRequest("the body holds too much")
		}
		r.open(name, "")
		r.out = strconv.AppendInt(r.out, int64(int8(octet)), 10)
		r.close(name)
	}
	return nil
}

// reference writes a reference to a managed object: its id is the text of the element, and the rest are
// attributes.
func (r *request) reference(name string, typed bool) error {
	if err := r.enter('{'); err != nil {
		return err
	}
	defer r.leave()
	var given [4]string
	keys := []string{"type", "value", "serverGuid", typeNameKey}
	seen := [4]bool{}
	for first := true; r.More('}', first); first = false {
		key, err := r.Key()
		if err != nil {
			return vim.InvalidRequest(err.Error())
		}
		i := slices.Index(keys, key)
		switch {
		case i < 0:
			return vim.InvalidRequest("unknown field " + vim.Quote(key))
		case seen[i]:
			return vim.InvalidRequest("the key " + key + " is repeated")
		case key == "serverGuid" && r.Null():
			continue
		case r.Peek() != '"':
			return r.want("a string as " + key)
		}
		seen[i] = true
		if given[i], err = r.Text(); err != nil {
			return vim.InvalidRequest(err.Error())
		}
	}
	switch {
	case seen[3] && given[3] != "ManagedObjectReference":
		return vim.InvalidRequest(vim.Quote(given[3]) + " is not the type expected, ManagedObjectReference")
	case !seen[0]:
		return r.missing("type")
	case !seen[1]:
		return r.missing("value")
	}
	r.out = append(append(r.out, '<'), name...)
	if typed {
		r.out = append(r.out, ` xsi:type="ManagedObjectReference"`...)
	}
	if err := r.attribute("type", given[0]); err != nil {
		return err
	}
	if seen[2] {
		if err := r.attribute("serverGuid", given[2]); err != nil {
			return err
		}
	}
	r.out = append(r.out, '>')
	if err := r.text(given[1]); err != nil {
		return err
	}
	r.close(name)
	return nil
}

func (r *request) attribute(name, value string) error {
	r.out = append(append(append(r.out, ' '), name...), `="`...)
	err := r.text(value)
	r.out = append(r.out, '"')
	return err
}

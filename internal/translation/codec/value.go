package codec

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/schema"
)

// simple writes the text of the current element as a value of the kind.
func (a *Answer) simple(k kind) error {
	text, err := a.tokens.Text()
	if err != nil {
		return err
	}
	if k == kindText {
		a.text(text)
		return nil
	}
	text = trim(text)
	switch k {
	case kindTime:
		a.time(text)
		return nil
	case kindBinary:
		a.binary(text)
		return nil
	case kindBoolean:
		return a.boolean(string(text))
	case kindFloat, kindDouble:
		return a.float(text, bits[k])
	case kindByte:
		n, err := parseByte(text)
		a.Buf = strconv.AppendInt(a.Buf, int64(n), 10)
		return err
	}
	if isInteger(text) {
		a.Buf = append(a.Buf, text...)
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return notA("number")
	}
	a.Buf = strconv.AppendInt(a.Buf, n, 10)
	return nil
}

// notA returns the error for a text that is not of its type. It does not contain the text.
func notA(what string) error { return fmt.Errorf("not a %s", what) }

// isInteger reports whether the text is a number in the form that JSON has for integers.
func isInteger(text []byte) bool {
	digits := text
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(text) > 1 {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (a *Answer) boolean(text string) error {
	switch text {
	case "true", "1":
		a.Buf = append(a.Buf, "true"...)
	case "false", "0":
		a.Buf = append(a.Buf, "false"...)
	default:
		return notA("boolean")
	}
	return nil
}

func (a *Answer) float(text []byte, bits int) error {
	f, err := strconv.ParseFloat(string(text), bits)
	switch {
	case err != nil:
		return notA("number")
	case math.IsNaN(f):
		a.Buf = append(a.Buf, `"NaN"`...)
	case math.IsInf(f, 1):
		a.Buf = append(a.Buf, `"Infinity"`...)
	case math.IsInf(f, -1):
		a.Buf = append(a.Buf, `"-Infinity"`...)
	case json.Valid(text):
		a.Buf = append(a.Buf, text...)
	default:
		a.Buf = jsontoken.AppendFloat(a.Buf, f, bits)
	}
	return nil
}

// time writes a time in UTC. A year that RFC 3339 does not have is left as it is.
func (a *Answer) time(text []byte) {
	t, err := schema.ParseXSD(string(text))
	if err == nil {
		b, ok := schema.AppendDateTime(append(a.Buf, '"'), t)
		if ok {
			a.Buf = append(b, '"')
			return
		}
	}
	a.text(text)
}

// binary writes base64, without the white space that XML allows in it.
func (a *Answer) binary(text []byte) {
	compact := text[:0:0]
	for _, c := range text {
		if !isSpace(c) {
			compact = append(compact, c)
		}
	}
	a.text(compact)
}

func (a *Answer) base64(b []byte) {
	a.Buf = append(a.Buf, '"')
	a.Buf = base64.StdEncoding.AppendEncode(a.Buf, b)
	a.Buf = append(a.Buf, '"')
}

// octet appends the byte that the current element is.
func (a *Answer) octet(b []byte) ([]byte, error) {
	text, err := a.tokens.Text()
	if err != nil {
		return b, err
	}
	n, err := parseByte(trim(text))
	if len(b) > maxHeld {
		return b, fmt.Errorf("too many bytes")
	}
	return append(b, byte(n)), err
}

// parseByte parses a byte, signed or not.
func parseByte(text []byte) (int8, error) {
	n, err := strconv.ParseInt(string(text), 10, 16)
	if err != nil || n < math.MinInt8 || n > math.MaxUint8 {
		return 0, notA("byte")
	}
	return int8(n), nil
}

func (a *Answer) text(b []byte) { a.Buf = jsontoken.AppendString(a.Buf, b) }

func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

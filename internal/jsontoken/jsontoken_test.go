package jsontoken

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
)

// decode reads the value at the cursor as encoding/json would.
func decode(t *testing.T, c *Cursor) any {
	t.Helper()
	switch c.Peek() {
	case '{':
		all := map[string]any{}
		c.SkipByte()
		for first := true; c.More('}', first); first = false {
			key, err := c.Key()
			if err != nil {
				t.Fatal(err)
			}
			all[key] = decode(t, c)
		}
		return all
	case '[':
		all := []any{}
		c.SkipByte()
		for first := true; c.More(']', first); first = false {
			all = append(all, decode(t, c))
		}
		return all
	case '"':
		s, err := c.Text()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if c.Null() {
		return nil
	}
	var v any
	if err := json.Unmarshal(c.Literal(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestACursorReadsWhatEncodingJSONReads(t *testing.T) {
	for _, text := range []string{
		` {"a" : [1, -2.5e3 ,true,false,null,"\u00e4\"\\\n"] , "b":{},"c":[ ]} `, `"x"`, `[[["\ud834\udd1e"]]]`, `0`,
	} {
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		c := Cursor{Data: []byte(text)}
		skipped := c
		if got := decode(t, &c); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", text, got)
		}
		if skipped.Skip(); skipped.Pos != c.Pos {
			t.Errorf("%s: skipped to %d, read to %d", text, skipped.Pos, c.Pos)
		}
	}
}

func TestBadTextIsRefused(t *testing.T) {
	for text, want := range map[string]error{
		`{`: ErrSyntax, ``: ErrSyntax, "\"\xff\"": ErrUTF8, `{} {}`: ErrSyntax, `[1,2]`: nil,
	} {
		if err := WellFormed([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`"\ud834"`, `"\udd1e\ud834"`, `"\ud834x\udd1e"`, `"\ud834\n"`} {
		c := Cursor{Data: []byte(text)}
		if s, err := c.Text(); !errors.Is(err, ErrSurrogate) {
			t.Errorf("%s: %q %v", text, s, err)
		}
	}
}

func TestWhatIsAppendedReadsBack(t *testing.T) {
	for _, s := range []string{"", `"\/<>&`, "\x00\t\r\n\x7f", "größe\u2028\u2029𝄞", "\xffa\xc3"} {
		text := AppendString(nil, s)
		if bytes := AppendString(nil, []byte(s)); string(bytes) != string(text) {
			t.Errorf("%q is %s, but from bytes %s", s, text, bytes)
		}
		var got string
		if err := json.Unmarshal(text, &got); err != nil || got != string([]rune(s)) {
			t.Errorf("%q: %s, %q %v", s, text, got, err)
		}
	}
	for _, f := range []float64{0, -1, 0.1, 1e21, 1e-7, -2.5e-9, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		want, err := json.Marshal(f)
		if got := AppendFloat(nil, f, 64); err != nil || string(got) != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
		want, err = json.Marshal(float32(0.1))
		if got := AppendFloat(nil, float64(float32(0.1)), 32); err != nil || string(got) != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

type inner struct {
	Name  string `json:"name"`
	extra Extra
}

type innerFields inner

func (i *inner) UnmarshalJSON(b []byte) (err error) {
	i.extra, err = Unmarshal(b, (*innerFields)(i))
	return err
}

func (i inner) MarshalJSON() ([]byte, error) { return Marshal(innerFields(i), i.extra) }

type outer struct {
	Count int     `json:"count,omitempty"`
	Inner []inner `json:"inner"`
}

func TestMembersOfANewerVersionSurviveARewrite(t *testing.T) {
	in := `{"v":1,"count":3,"new":{"a":[1,2]},"inner":[{"name":"x","later":true}]}`
	var o outer
	extra, err := Decode([]byte(in), 1, &o)
	if err != nil {
		t.Fatal(err)
	}
	o.Count, o.Inner[0].Name = 0, "y"
	out, err := Encode(1, o, extra)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"inner":[{"later":true,"name":"y"}],"new":{"a":[1,2]},"v":1}`
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
}

func TestARecordOfAnUnknownVersionIsRefused(t *testing.T) {
	var o outer
	if _, err := Decode([]byte(`{"v":2,"inner":[]}`), 1, &o); !errors.Is(err, ErrVersion) {
		t.Errorf("newer: got %v", err)
	}
	for _, bad := range []string{``, `{}`, `{"v":0}`, `{"v":1`, `[]`, `{"v":1}x`, `{"v":1,"count":"x"}`, `null`} {
		if _, err := Decode([]byte(bad), 1, &o); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestARecordHasASizeLimit(t *testing.T) {
	big := inner{Name: strings.Repeat("x", MaxSize)}
	if _, err := Encode(1, big, nil); !errors.Is(err, ErrSize) {
		t.Errorf("encode: got %v", err)
	}
	var o outer
	if _, err := Decode(bytes.Repeat([]byte(" "), MaxSize+1), 1, &o); !errors.Is(err, ErrSize) {
		t.Errorf("decode: got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"count":3,"new":null,"inner":[{"name":"x","later":true}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var o outer
		extra, err := Decode(b, 1, &o)
		if err != nil {
			return
		}
		out, err := Encode(1, o, extra)
		if err != nil {
			if errors.Is(err, ErrSize) {
				return
			}
			t.Fatal(err)
		}
		var again outer
		if _, err := Decode(out, 1, &again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		x, _ := json.Marshal(o)
		y, _ := json.Marshal(again)
		if !bytes.Equal(x, y) {
			t.Fatalf("%s became %s", x, y)
		}
	})
}

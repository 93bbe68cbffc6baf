// Package record is the encoding of the small records that are kept as JSON:
// versioned, bounded, and careful of what a newer version wrote. Accounts,
// permissions and extensions are few and seldom written; they are kept in a form
// that people can read.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// MaxSize is the largest record in bytes, well below what every store takes.
const MaxSize = 1 << 20

var (
	// ErrVersion: a version of the program that this one doesn't know wrote the
	// record, and said that older ones can't understand it.
	ErrVersion = errors.New("written by a newer version")
	// ErrSize: the record is larger than MaxSize.
	ErrSize = errors.New("record too large")
)

// Extra are the members of a record that this version doesn't know. They are
// written back as they were read.
type Extra map[string]json.RawMessage

// Decode reads a record into the struct that known points to, and returns the
// members that the struct doesn't name. Members of inner structs that should be
// kept as well need an UnmarshalJSON that calls Unmarshal.
//
// The record's member `v` is the oldest version of the format that understands
// it: one above version is ErrVersion.
func Decode(b []byte, version int, known any) (Extra, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("decode record: %d bytes: %w", len(b), ErrSize)
	}
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("decode record: %w", err)
	}
	switch {
	case head.Version > version:
		return nil, fmt.Errorf("decode record of version %d: %w", head.Version, ErrVersion)
	case head.Version < 1:
		return nil, errors.New("decode record: it has no version")
	}
	extra, err := Unmarshal(b, known)
	if err != nil {
		return nil, fmt.Errorf("decode record: %w", err)
	}
	delete(extra, "v")
	return extra, nil
}

// Encode is the inverse of Decode.
func Encode(version int, known any, extra Extra) ([]byte, error) {
	all := maps.Clone(extra)
	if all == nil {
		all = Extra{}
	}
	all["v"] = json.RawMessage(fmt.Sprint(version))
	b, err := Marshal(known, all)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encode record: %w", err)
	case len(b) > MaxSize:
		return nil, fmt.Errorf("encode record: %d bytes: %w", len(b), ErrSize)
	}
	return b, nil
}

// Unmarshal reads one JSON object into the struct that known points to and
// returns the members that the struct doesn't name.
func Unmarshal(b []byte, known any) (Extra, error) {
	if err := json.Unmarshal(b, known); err != nil {
		return nil, err
	}
	var extra Extra
	if err := json.Unmarshal(b, &extra); err != nil {
		return nil, err
	}
	for name := range members(known) {
		delete(extra, name)
	}
	return extra, nil
}

// Marshal writes the struct and the extra members as one JSON object. Where
// both have a member the struct's counts.
func Marshal(known any, extra Extra) ([]byte, error) {
	b, err := json.Marshal(known)
	if err != nil || len(extra) == 0 {
		return b, err
	}
	var own Extra
	if err := json.Unmarshal(b, &own); err != nil {
		return nil, err
	}
	all := maps.Clone(extra)
	maps.Copy(all, own)
	return json.Marshal(all)
}

// members are the names of a struct's JSON members.
func members(known any) map[string]bool {
	t := reflect.TypeOf(known)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	names := make(map[string]bool, t.NumField())
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "-" {
			names[name] = true
		}
	}
	return names
}

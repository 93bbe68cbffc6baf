// Package record encodes small records as JSON. Accounts, permissions and extensions are stored
// this way: there are few of them, they seldom change, and people can read them.
//
// [Encode] and [Decode] convert between a struct and its record. Each record has a format version
// and a maximum size. Members that a newer version of the program added are kept as [Extra] and
// written back, so that an older version does not lose them. Large or frequent records, such as
// sessions, have their own encodings.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// MaxSize is the maximum size of a record in bytes. It is well below the limit of every store.
const MaxSize = 1 << 20

var (
	// ErrVersion means that a newer version of the program wrote the record in a format that this
	// version can't read.
	ErrVersion = errors.New("written by a newer version")
	// ErrSize means that the record is larger than MaxSize.
	ErrSize = errors.New("record too large")
)

// Extra holds the members of a record that this version does not know. They are written back
// unchanged.
type Extra map[string]json.RawMessage

// Decode reads a record into the struct that known points to. It returns the members that the
// struct does not have. A nested struct keeps its unknown members only if it has a method
// UnmarshalJSON that calls Unmarshal.
//
// The record's member `v` is the oldest format version that can read the record. If it is greater
// than version, the error is ErrVersion.
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

// Encode returns the record of a struct and its extra members. It is the inverse of Decode.
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

// Unmarshal reads one JSON object into the struct that known points to. It returns the members that
// the struct does not have.
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

// Marshal returns the struct and the extra members as one JSON object. If both have a member, the
// struct's value is used.
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

// members returns the names of the struct's JSON members.
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

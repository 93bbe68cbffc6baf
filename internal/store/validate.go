package store

import (
	"errors"
	"fmt"
	"strings"
)

// maxID is the longest id in bytes.
const maxID = 512

// ValidID reports whether the id can name a record: it has 1 to 512 bytes and no NUL.
func ValidID(id string) bool {
	return id != "" && len(id) <= maxID && strings.IndexByte(id, 0) < 0
}

// Validate returns an error for changes that are never a valid commit, in any store: bad ids, or
// two changes that name the same record. The errors don't contain the ids, because ids may be
// hashes of secrets.
func Validate(changes []Change) error {
	for i, c := range changes {
		if c.Record.Kind == 0 {
			return fmt.Errorf("validate change %d: record has no kind", i)
		}
		if c.Op == OpAppend {
			if !c.Record.Kind.Appended() {
				return fmt.Errorf("validate change %d: records of kind %d are not appended", i, c.Record.Kind)
			}
			continue
		}
		if c.Op < OpPut || c.Op > OpAppend {
			return fmt.Errorf("validate change %d: unknown operation %d", i, c.Op)
		}
		if !ValidID(c.Record.ID) {
			return fmt.Errorf("validate change %d: %w", i, errBadID)
		}
		if c.Op == OpPut && c.Record.Kind.Appended() {
			if _, err := IDNumber(c.Record.ID); err != nil {
				return fmt.Errorf("validate change %d: put record of kind %d: %w", i, c.Record.Kind, err)
			}
		}
	}
	return validateDistinct(changes)
}

var errBadID = errors.New("id is not 1 to 512 bytes without NUL")

func validateDistinct(changes []Change) error {
	type name struct {
		kind Kind
		id   string
	}
	if len(changes) < 2 {
		return nil
	}
	seen := make(map[name]bool, len(changes))
	for i, c := range changes {
		if c.Op == OpAppend {
			continue
		}
		n := name{c.Record.Kind, c.Record.ID}
		if seen[n] {
			return fmt.Errorf("validate change %d: its record is named twice in one commit", i)
		}
		seen[n] = true
	}
	return nil
}

// ValidateSweep returns an error if records of a kind may only be removed from the beginning of
// their order.
func ValidateSweep(kinds []Kind) error {
	for _, k := range kinds {
		if k.Appended() {
			return fmt.Errorf("sweep expired records: kind %d is appended, and only trimmed", k)
		}
	}
	return nil
}

package session

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/store"
)

// decodeSession decodes a record field by field, as an oracle for the table's decoder.
func decodeSession(key Key, b []byte) (Session, error) {
	s := Session{Key: key}
	err := fields(b, func(f field) error {
		var err error
		switch f.num {
		case fieldToken:
			if copy(s.token[:], f.bytes) != len(s.token) || len(f.bytes) != len(s.token) {
				return fmt.Errorf("token hash of %d bytes: %w", len(f.bytes), errCodec)
			}
		case fieldIdentity:
			s.Identity, err = decodeIdentity(f.bytes)
		case fieldOrigin:
			var o Identity
			o, err = decodeIdentity(f.bytes)
			s.Origin = &o
		case fieldLocale:
			s.Locale = string(f.bytes)
		case fieldMessageLocale:
			s.MessageLocale = string(f.bytes)
		case fieldLogin:
			s.LoginTime = time.Unix(0, int64(f.number)).UTC()
		case fieldDeadline:
			s.Deadline = time.Unix(0, int64(f.number)).UTC()
		case fieldLastActive:
			s.LastActiveTime = time.Unix(0, int64(f.number)).UTC()
		case fieldCallCount:
			s.CallCount = int64(f.number)
		case fieldAddress:
			s.Address = string(f.bytes)
		case fieldUserAgent:
			s.UserAgent = string(f.bytes)
		case fieldMethod:
			s.Method = string(f.bytes)
		default:
			s.extra += string(f.raw)
		}
		return err
	})
	switch {
	case err != nil:
		return Session{}, fmt.Errorf("decode session: %w", err)
	case s.token == Hash{} || s.Identity.Name.IsZero() || s.LoginTime.IsZero() || s.Deadline.IsZero():
		// Without one of these fields, a session could not be told from another one, or would never end.
		return Session{}, fmt.Errorf("decode session: required field missing: %w", errCodec)
	}
	return s, nil
}

// sampleSession returns a session with every field that a record can hold.
func sampleSession() Session {
	return Session{
		Key: Key{1}, token: Hash{2},
		Identity: Identity{Name: named("alice").Identity.Name, FullName: "Alice",
			Groups: []string{`VSPHERE.LOCAL\A`, `VSPHERE.LOCAL\B`}},
		Origin: &Identity{Name: named("Bob").Identity.Name, Extension: true},
		Locale: "de_DE", MessageLocale: "de",
		LoginTime: time.Unix(1, 5).UTC(), Deadline: time.Unix(9, 0).UTC(), LastActiveTime: time.Unix(3, 1).UTC(),
		CallCount: 7, Address: "192.0.2.7", UserAgent: "test/1", Method: "password",
	}
}

// compareWithOracle puts a record into the table, and compares the session that the table serves with the
// oracle's.
func compareWithOracle(t *testing.T, value []byte) {
	t.Helper()
	want, bad := decodeSession(Key{1}, value)
	table := NewTable(slog.New(slog.DiscardHandler))
	r := storeRecord(Session{Key: Key{1}})
	r.Value = value
	for range 2 { // the second put finds its facts in the pool
		table.put(r)
	}
	l := table.byKey(Key{1})
	if (bad == nil) != (l != nil) || (bad == nil) != (table.Damaged() == 0) {
		t.Fatalf("served: %v, damaged: %d, the oracle says: %v", l != nil, table.Damaged(), bad)
	}
	if l == nil {
		if len(table.facts.all) != 0 || len(table.addresses.all) != 0 || table.Size() != 0 {
			t.Fatalf("a damaged record leaves %d facts, %d addresses, %d counts", len(table.facts.all),
				len(table.addresses.all), table.Size())
		}
		return
	}
	if want.LastActiveTime.IsZero() {
		want.LastActiveTime = time.Unix(0, 0).UTC() // the table stores a zero time as this
	}
	got := l.Session()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("\n got %+v\nwant %+v", got, want)
	}
	owner := want.Owner()
	if l.facts.Load().value.owner != owner.Name.Key() {
		t.Fatalf("counts as %q, want %q", l.facts.Load().value.owner, owner.Name.Key())
	}
	if again, err := decodeSession(Key{1}, got.encode()); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("does not survive: %v", err)
	}
	table.delete(store.Session, Key{1}.String())
	if len(table.facts.all) != 0 || len(table.addresses.all) != 0 {
		t.Fatal("the pools keep what nobody has")
	}
}

func TestARecordIsServedAsItSays(t *testing.T) {
	s := sampleSession()
	whole := s.encode()
	compareWithOracle(t, whole)
	compareWithOracle(t, appendText(whole, 99, "from the future"))
	for n := range whole {
		compareWithOracle(t, whole[:n])
		for _, bit := range []byte{1, 0x80} {
			turned := bytes.Clone(whole)
			turned[n] ^= bit
			compareWithOracle(t, turned)
		}
	}
}

func FuzzSessionRecordsAreServedOrDamaged(f *testing.F) {
	s := sampleSession()
	f.Add(s.encode())
	f.Add(appendText(s.encode(), 99, "from the future"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) { compareWithOracle(t, b) })
}

func FuzzKeysHaveOneSpelling(f *testing.F) {
	f.Add("52a1b2c3-0000-4000-8000-00000000000f")
	f.Add("52A1B2C3-0000-4000-8000-00000000000F")
	f.Add("{52a1b2c3-0000-4000-8000-0000000000}")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := uuid.Parse(s)
		want := err == nil && u.String() == s
		if key, ok := parseKey(s); ok != want || ok && key != Key(u) {
			t.Fatalf("%q: %v %v, want %v", s, key, ok, want)
		}
	})
}

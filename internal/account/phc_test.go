package account

import (
	"errors"
	"strings"
	"testing"
)

// reference is the hash of "password" with the salt "somesalt". The reference implementation's command
// computed it: argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 -e.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestAHashOfTheReferenceImplementationIsUnderstood(t *testing.T) {
	h, err := parseHash(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !h.matches([]byte("password")) || h.matches([]byte("Password")) || h.matches(nil) {
		t.Error("wrong answer")
	}
}

func TestOnlyOneSpellingOfAHashIsRead(t *testing.T) {
	if _, err := parseHash(reference); err != nil {
		t.Fatal(err)
	}
	for _, edit := range [][2]string{
		{"argon2id", "argon2i"}, {"v=19", "v=16"}, {"v=19", "v=019"}, {"m=65536", "m=065536"}, {"m=65536", "m=+65536"},
		{"m=65536", "m=7"}, {"m=65536", "m=1048577"}, {"m=65536", "m=4294967296"}, {"t=2", "t=0"}, {"t=2", "t=33"},
		{"p=1", "p=0"}, {"p=1", "p=17"},
		{"p=1", "p=257"}, {"p=1", "p=1,x=1"}, {"m=65536,t=2", "t=2,m=65536"}, {"c29tZXNhbHQ", "c29tZXNhbHR"},
		{"c29tZXNhbHQ", "c29t\nZXNhbHQ"},
		{"c29tZXNhbHQ", "c29tZXNhbHQ="}, {"c29tZXNhbHQ", "c29t"}, {"c29tZXNhbHQ", strings.Repeat("A", 88)},
		{"GRPPc", ""}, {"CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "AAAA"},
		{"$c29t", "$$c29t"}, {"$argon2id", "argon2id"}, {"PPc", "PPc$"}, {"PPc", "PPc\n"},
	} {
		bad := strings.Replace(reference, edit[0], edit[1], 1)
		if bad == reference {
			t.Errorf("%q is not in the reference", edit[0])
		}
		if _, err := parseHash(bad); !errors.Is(err, errPHC) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(reference)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err != nil {
			return
		}
		if h.String() != s || !h.cost.valid() {
			t.Errorf("%q became %q", s, h)
		}
	})
}

// A login of an unknown or disabled user costs as much as one with a wrong password: one hash with the
// configured cost.
func TestNobodyIsHashedLikeSomebody(t *testing.T) {
	m, err := NewManager(Options{Table: NewTable("", nil), Cost: Cost{Memory: 64, Time: 3, Lanes: 2}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := m.hash(t.Context(), []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	n := m.nobody
	if n.cost != h.cost || len(n.salt) != len(h.salt) || len(n.key) != len(h.key) || n.cost != (Cost{64, 3, 2}) {
		t.Errorf("nobody is %+v, somebody %+v", n.cost, h.cost)
	}
	if back, err := parseHash(h.String()); err != nil || !back.matches([]byte("correct horse")) {
		t.Errorf("a new hash is not read back: %v", err)
	}
}

func TestTheDefaultCostIsWhatTheSpecificationAsksFor(t *testing.T) {
	m, err := NewManager(Options{Table: NewTable("", nil)})
	if err != nil {
		t.Fatal(err)
	}
	if m.cost != (Cost{Memory: 19456, Time: 2, Lanes: 1}) {
		t.Errorf("cost %+v", m.cost)
	}
	if _, err := NewManager(Options{Table: NewTable("", nil), Cost: Cost{Memory: 1, Time: 1, Lanes: 1}}); err == nil {
		t.Error("a cost out of bounds was taken")
	}
}

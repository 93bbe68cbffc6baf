package upstream

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestAReloadChangesAccountsAndLimitsAndEndsNoSession(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 3\nwait-timeout: 200ms")
	ann, bob := s.use("ann"), s.use("bob")
	bob.Session().Pin()
	bob.Done()
	old := s.pool("bob")

	cfg := s.cfg
	cfg.Accounts = cfg.Accounts[:1] // without bob
	cfg.MaxSessions = 2
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if !ann.Session().Probe(s.ctx()) || !bob.Session().Probe(s.ctx()) {
		t.Error("a session has ended")
	}
	if _, ok := s.Account("bob"); ok {
		t.Error("the account is still there")
	}
	if _, err := old.Acquire(s.ctx()); !errors.Is(err, ErrAccount) {
		t.Errorf("got %v, want ErrAccount", err)
	}
	x, err := old.AcquireOn(s.ctx(), bob.Session())
	if err != nil {
		t.Fatalf("the client that owns something: %v", err)
	}
	x.Done()
	bob.Session().Unpin()
	eventually(t, "the session of the former account is logged out", func() bool { return s.double.sessions() == 1 })
	if a, _ := s.Account("ann"); a != ann.Session().account {
		t.Error("an account that has not changed is another one")
	}
	if s.State().MaxPlaces != 2 {
		t.Error("the limit has not changed")
	}
	ann.Done()
}

func TestAReloadWithAMistakeChangesNothing(t *testing.T) {
	s := stage(t, newDouble(t), "")
	cfg := s.cfg
	cfg.MaxSessions = 1
	if err := os.Chmod(s.files["ann"], 0o666); err != nil {
		t.Fatal(err)
	}
	err := s.Reload(cfg)
	if err == nil || !strings.Contains(err.Error(), "can be written by others") ||
		strings.Contains(err.Error(), "right") {
		t.Errorf("got %v", err)
	}
	if s.State().MaxPlaces != 10 {
		t.Error("the limit has changed")
	}
}

func TestAccountsAllowWhatTheirPatternsSay(t *testing.T) {
	a := &Account{methods: []string{"Retrieve*", "*Tag*", "Find", "/folder/*.iso"}}
	for method, want := range map[string]bool{
		"RetrievePropertiesEx": true, "Retrieve": true, "ListAttachedTags": true, "Tag": true, "Find": true,
		"FindByUuid": false, "PowerOnVM_Task": false, "": false, "retrieve": false, "/folder/a/b.iso": true,
		"/folder/a.vmdk": false,
	} {
		if a.Allows(method) != want {
			t.Errorf("%q: %v", method, !want)
		}
	}
	if !(&Account{}).Allows("PowerOnVM_Task") {
		t.Error("an account without patterns does not allow everything")
	}
}

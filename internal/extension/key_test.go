package extension_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestNoNewKeyIsTakenForAnother(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	must(t, n.Register(ctx, event.By("x"), registration("com.example.a")))
	must(t, n.Register(ctx, event.By("x"), registration("strasse")))
	for _, alike := range []string{"COM.EXAMPLE.A", "com.exɑmple.a", "straße"} {
		wantError(t, n.Register(ctx, event.By("x"), registration(alike)), extension.ErrExists)
	}
	for _, never := range []string{"com.example.a\u200b", "\u202ea", "соm.example.a", "ｃom.example.a",
		"a (impersonated by b)", "a,b", `"a"`} {
		err := n.Register(ctx, event.By("x"), registration(never))
		var reason *principal.NameError
		if !errors.Is(err, extension.ErrKey) || !errors.As(err, &reason) {
			t.Errorf("%q: %v", never, err)
		}
	}
	if len(n.List()) != 2 {
		t.Errorf("there are %d extensions", len(n.List()))
	}
	must(t, n.Update(ctx, event.By("x"), registration("COM.EXAMPLE.A"), ""))
	if e, _ := n.Find("com.example.a"); e.Key != "com.example.a" {
		t.Errorf("an update has changed the key to %q", e.Key)
	}
}

func TestTextsOfAnExtensionCanBeShown(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	try := func(data string) error {
		r := registration("com.example.a")
		r.Data = []byte(data)
		return n.Register(ctx, event.By("x"), r)
	}
	for _, bad := range []string{`{"label":"a\nb"}`, `{"label":"\u202ea"}`, `{"description":{"summary":"\u200ba"}}`,
		`{"a":[["x",{"value":"\u2066"}]]}`, `{"summary":"\u001b[2K"}`, `"\u0000"`, `{"\u202e":1}`} {
		wantError(t, try(bad), extension.ErrText)
	}
	must(t, try(`{"label":"Müller","summary":"a\r\n\tb","list":[1,true,null,"x"],"value":"می\u200cخواهم"}`))
}

// older stores the record of an extension in the form of a version that had no rules for keys.
func (n *node) older(t *testing.T, key string) {
	t.Helper()
	value := `{"v":1,"key":"` + key + `","data":{"key":"` + key +
		`","label":"a\u200bb"},"registered":"2025-01-01T00:00:00Z","updated":"2025-01-01T00:00:00Z"}`
	_, err := n.mirror.Commit(t.Context(), store.Put(store.Extension, "ext:"+strings.ToLower(key), []byte(value),
		time.Time{}))
	must(t, err)
}

// An extension whose key is no longer allowed stays usable, and can be unregistered.
func TestExtensionsThatAnOlderVersionStoredStay(t *testing.T) {
	s := storetest.NewMemory(nil)
	n, ctx := nodeOn(t, s), t.Context()
	for _, key := range []string{"a (impersonated by b)", "zero\u200bwidth", "ﬁnn", "аnn", "Γιώργος", "İx", "ſam",
		"Kelly"} {
		n.older(t, key)
		n := nodeOn(t, s) // a restart
		e, ok := n.Find(key)
		if !ok || e.Key != key || n.Damaged() != nil {
			t.Fatalf("%q: %v, %v, %v", key, e.Key, ok, n.Damaged())
		}
		must(t, n.SetCertificate(ctx, event.By("x"), key, issue(t, nil, "x", nil).pem(), ""))
		r := registration(key)
		r.Data = []byte(`{"key":"` + key + `"}`)
		must(t, n.Update(ctx, event.By("x"), r, ""))
		e, _ = n.Find(key)
		if _, err := n.mirror.Commit(ctx, e.Require()); err != nil {
			t.Errorf("%q: a login does not find its record: %v", key, err)
		}
		must(t, n.Unregister(ctx, event.By("x"), key))
		if n.Exists(key) || n.Damaged() != nil {
			t.Errorf("%q is left", key)
		}
	}
}

func TestExtensionsOfOneKeyAreNobodyUntilOneIsLeft(t *testing.T) {
	for _, remove := range []string{"sam", "ſam"} {
		s := storetest.NewMemory(nil)
		n, ctx := nodeOn(t, s), t.Context()
		n.older(t, "sam")
		n.older(t, "ſam")
		n = nodeOn(t, s)
		var damaged *store.DamagedError
		if err := n.Update(ctx, event.By("x"), registration("sam"), ""); !errors.As(err, &damaged) || n.Exists("sam") ||
			n.Exists("ſam") {
			t.Errorf("update: %v", err)
		}
		if !errors.As(n.Damaged(), &damaged) || len(n.List()) != 2 {
			t.Errorf("damage %v, extensions %v", n.Damaged(), n.List())
		}
		must(t, n.Unregister(ctx, event.By("x"), remove))
		if left, ok := n.Find("sam"); !ok || left.Key == remove || n.Damaged() != nil {
			t.Errorf("without %s: %v, %v", remove, left.Key, n.Damaged())
		}
	}
}

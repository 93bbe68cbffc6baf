package secret_test

import (
	"bytes"
	"testing"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secrettest"
)

func TestASecretIsRevealedAsItWasMade(t *testing.T) {
	if s := secret.New("abc"); s.Reveal() != "abc" || s.IsZero() {
		t.Errorf("%q", s.Reveal())
	}
	if b := secret.NewBytes([]byte("abc")); !bytes.Equal(b.Reveal(), []byte("abc")) || b.IsZero() {
		t.Errorf("%q", b.Reveal())
	}
	for _, s := range []secret.Text{{}, secret.New("")} {
		if !s.IsZero() || s.Reveal() != "" {
			t.Errorf("%q", s.Reveal())
		}
	}
	for _, b := range []secret.Bytes{{}, secret.NewBytes(nil), secret.NewBytes([]byte{})} {
		if !b.IsZero() || b.Reveal() != nil {
			t.Errorf("%q", b.Reveal())
		}
	}
}

func TestASecretShowsInNoForm(t *testing.T) {
	const digits = "5ecret-9f86d081884c7d65"
	secrettest.Hides(t, digits, secret.New(digits))
	secrettest.Hides(t, digits, secret.NewBytes([]byte(digits)))
	secrettest.Hides(t, digits, struct {
		Shown  secret.Text
		hidden secret.Bytes
	}{secret.New(digits), secret.NewBytes([]byte(digits))})
}

// TestTheSearchFindsWhatIsNotHidden shows that the other tests can fail.
func TestTheSearchFindsWhatIsNotHidden(t *testing.T) {
	const digits = "5ecret-9f86d081884c7d65"
	for name, v := range map[string]any{
		"a text":                   digits,
		"bytes":                    []byte(digits),
		"a text in a struct":       struct{ text string }{digits},
		"bytes in a struct":        struct{ b []byte }{[]byte(digits)},
		"bytes of an encoded list": struct{ B [][]byte }{[][]byte{[]byte(digits)}},
	} {
		if len(secrettest.Forms(digits, v)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}

func TestAnEmptySecretAllocatesNothing(t *testing.T) {
	text, bytes := "", []byte{}
	if n := testing.AllocsPerRun(100, func() { _, _ = secret.New(text), secret.NewBytes(bytes) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

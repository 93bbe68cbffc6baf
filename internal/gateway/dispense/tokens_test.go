package dispense

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/secret"
)

func TestTheFileOfTokensIsReadAgainWhenItChanges(t *testing.T) {
	s := open(t)
	s.Verify = nil
	s.write(s.file, "# nobody else\n\n"+line("storage", "another token"))
	if w, _ := s.ask("Bearer driver's token"); w.Code != http.StatusUnauthorized {
		t.Errorf("a token that was removed: %d", w.Code)
	}
	if w, _ := s.ask("Bearer another token"); w.Code != http.StatusOK {
		t.Errorf("a token that was added: %d", w.Code)
	}
	s.write(s.file, line("storage", "another token")+"storage too short\n")
	if w, _ := s.ask("Bearer another token"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("with a file that is wrong: %d", w.Code)
	}
	if strings.Contains(s.log.String(), "too short") {
		t.Errorf("the log has the line:\n%s", s.log.String())
	}
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	if w, _ := s.ask("Bearer another token"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without a file: %d", w.Code)
	}
	s.write(s.file, line("storage", "another token"))
	if w, _ := s.ask("Bearer another token"); w.Code != http.StatusOK {
		t.Errorf("with the file again: %d", w.Code)
	}
}

func TestASubjectOfAnIssuerNeedsNoFileOfTokens(t *testing.T) {
	s := open(t)
	s.write(s.file, "wrong")
	if w, _ := s.ask("Bearer jwt:" + account); w.Code != http.StatusOK {
		t.Errorf("%d", w.Code)
	}
}

func TestAFileOfTokensThatOthersCanChangeIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(name, []byte(line("a", "b")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTokens(name); err == nil {
		t.Error("it was read")
	}
}

func TestLinesThatAreNoTokensAreErrors(t *testing.T) {
	good := strings.TrimSpace(line("a", "b"))
	for _, text := range []string{
		"a", "a b c", "a " + strings.Repeat("0", 63), "a " + strings.Repeat("g", 64), "a " + strings.Repeat("0", 66),
		"a\x01b " + good[2:], line("a", ""), good + "\n" + strings.Replace(good, "a", "c", 1),
		strings.Repeat("x", 200) + good,
	} {
		if all, err := parse([]byte(text)); err == nil {
			t.Errorf("%q: %d tokens", text, len(all))
		}
	}
	if _, err := OpenTokens(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzLinesOfTokens(f *testing.F) {
	f.Add(line("a", "b"), "b")
	f.Fuzz(func(t *testing.T, text, token string) {
		all, err := parse([]byte(text))
		if err != nil || len(all) > maxTokens || len(text) > 1<<16 {
			return
		}
		name := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tokens, err := OpenTokens(name)
		if err != nil {
			t.Fatal(err)
		}
		found, err := tokens.find(context.Background(), secret.New(token))
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(line("", token)); found != "" && !strings.Contains(strings.ToLower(text), want) {
			t.Fatalf("%q is the token of %q in %q", token, found, text)
		}
	})
}

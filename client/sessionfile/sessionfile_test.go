package sessionfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/client"
)

func session(url, user, token string, since int64) *Session {
	return &Session{URL: url, User: strings.ToLower(user), UserName: user, Release: "8.0.1.0",
		Since: time.Unix(since, 0).UTC(), Token: client.NewToken(token)}
}

func TestSessionsAreKeptByServerAndUser(t *testing.T) {
	files := In(filepath.Join(t.TempDir(), "[odd]*", "sessions"))
	for _, k := range []*Session{
		session("https://a", `D\Bob`, "t1", 1), session("https://a", `D\Eve`, "t2", 2),
		session("https://b", `D\Bob`, "t3", 3),
	} {
		if err := files.Save(k); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ url, user, token string }{
		{"https://a", `d\bob`, "t1"}, {"https://a", "BOB@D", "t1"}, {"https://a", "", "t2"}, {"https://b", "", "t3"},
		{"https://a", "carol", ""}, {"https://c", "", ""},
	} {
		k, err := files.Find(tc.url, tc.user)
		if err != nil {
			t.Fatal(err)
		}
		token := ""
		if k != nil {
			token = k.Token.Reveal()
		}
		if token != tc.token {
			t.Errorf("%s at %s: %q, want %q", tc.user, tc.url, token, tc.token)
		}
	}
}

func TestForgettingSparesANewerSession(t *testing.T) {
	files := At(filepath.Join(t.TempDir(), "session"))
	old := session("https://a", `D\Bob`, "t1", 1)
	for _, k := range []*Session{old, session("https://a", `D\Bob`, "t2", 2)} {
		if err := files.Save(k); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Remove(old); err != nil {
		t.Fatal(err)
	}
	k, err := files.Find("https://a", "")
	if err != nil || k == nil || k.Token.Reveal() != "t2" {
		t.Fatalf("found %v, %v", k, err)
	}
	if err := files.Remove(k); err != nil {
		t.Fatal(err)
	}
	if k, err := files.Find("https://a", ""); err != nil || k != nil {
		t.Errorf("found %v, %v", k, err)
	}
}

func TestADamagedSessionFileIsReportedAndKept(t *testing.T) {
	files := At(filepath.Join(t.TempDir(), "session"))
	for _, content := range []string{"", "{", `{"url":"https://a"}`, `{"url":"https://a","token":"a\nb"}`,
		strings.Repeat(" ", maxFile+1)} {
		if err := os.WriteFile(files.file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := files.Find("https://a", ""); err == nil || !strings.Contains(err.Error(), files.file) {
			t.Errorf("%.20q: %v, %v", content, k, err)
		}
		if now, err := os.ReadFile(files.file); err != nil || string(now) != content {
			t.Errorf("%.20q was changed: %v", content, err)
		}
	}
	if err := os.Remove(files.file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(files.file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Find("https://a", ""); err == nil {
		t.Error("a directory is accepted as a session file")
	}
}

func FuzzSessionFile(f *testing.F) {
	f.Add([]byte(`{"url":"https://a","userName":"D\\b","release":"8.0.1.0","since":"2025-01-02T03:04:05Z",` +
		`"token":"00"}`))
	f.Add([]byte(`{"url":"x","token":"a b"}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := parse(content)
		if err != nil {
			return
		}
		if k.URL == "" || k.Token.IsZero() || strings.ContainsAny(k.Token.Reveal(), "\r\n\x00") {
			t.Errorf("accepted: %+v", k)
		}
	})
}

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALoginIsSavedAndReused(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	contains(t, sh.must("login"), "User:", adminName, ownKey)
	delete(sh.env, "VIGATE_PASSWORD")
	contains(t, sh.must("whoami"), `VSPHERE.LOCAL\Administrator`)
	if s.logins() != 1 {
		t.Errorf("%d logins, want 1", s.logins())
	}
	files := sh.savedFiles()
	if len(files) != 1 {
		t.Fatalf("saved files: %v", files)
	}
	for path, want := range map[string]os.FileMode{files[0]: 0o600, filepath.Dir(files[0]): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s is %o, want %o", path, got, want)
		}
	}
	sh.must("logout")
	if s.sessions() != 0 || len(sh.savedFiles()) != 0 {
		t.Errorf("after logout: %d sessions, files %v", s.sessions(), sh.savedFiles())
	}
	sh.must("logout") // without a session, logout succeeds
}

func TestACommandLogsInByItselfAndSavesTheSession(t *testing.T) {
	s := startServer(t, map[string]string{"GET SessionManager.message": `"hello"`})
	sh := newShell(t, s)
	for range 2 {
		if got := sh.must("session", "message"); got != "hello\n" {
			t.Errorf("message is %q", got)
		}
	}
	if s.logins() != 1 {
		t.Errorf("%d logins, want 1", s.logins())
	}
}

func TestASessionThatHasEndedIsRenewedOnce(t *testing.T) {
	s := startServer(t, map[string]string{"GET SessionManager.message": `"hello"`})
	sh := newShell(t, s)
	sh.must("login")
	s.kill()
	sh.must("session", "message")
	if s.logins() != 2 || len(sh.savedFiles()) != 1 {
		t.Errorf("%d logins, files %v", s.logins(), sh.savedFiles())
	}
	s.kill()
	sh.env["VIGATE_PASSWORD"] = "wrong"
	contains(t, sh.fails(3, "session", "message"), "incorrect user name or password")
	if n := len(s.got("POST SessionManager.Login ")); n != 3 {
		t.Errorf("%d calls of Login, want 3: a wrong password must not be tried again", n)
	}
}

func TestADeadSessionWithoutCredentialsIsForgotten(t *testing.T) {
	for _, args := range [][]string{{"session", "message"}, {"whoami"}} {
		s := startServer(t, map[string]string{"GET SessionManager.message": `"hello"`})
		sh := newShell(t, s)
		sh.must("login")
		s.kill()
		delete(sh.env, "VIGATE_PASSWORD")
		contains(t, sh.fails(3, args...), "vigate login")
		if files := sh.savedFiles(); len(files) != 0 {
			t.Errorf("%v: still saved: %v", args, files)
		}
	}
}

func TestASessionFileThatOthersCanReadIsRefused(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	sh.must("login")
	path := sh.savedFiles()[0]
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	contains(t, sh.fails(1, "whoami"), path, "0644", "chmod 600")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	contains(t, sh.fails(1, "login"), "chmod 700")
	if s.sessions() != 1 {
		t.Errorf("%d sessions, want 1: a session that can't be saved must be ended", s.sessions())
	}
}

func TestALoginEndsTheSessionThatItReplaces(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	sh.must("login")
	sh.must("login")
	if s.logins() != 2 || s.sessions() != 1 || len(sh.savedFiles()) != 2-1 {
		t.Errorf("%d logins, %d sessions, files %v", s.logins(), s.sessions(), sh.savedFiles())
	}
	sh.must("whoami")
}

func TestACloneLeavesItsSourceAlone(t *testing.T) {
	s := startServer(t, map[string]string{"POST SessionManager.AcquireCloneTicket": `"cst-VCT-1"`})
	sh := newShell(t, s)
	sh.must("login")
	ticket := sh.must("session", "clone-ticket")
	if ticket != "cst-VCT-1\n" {
		t.Errorf("ticket is %q", ticket)
	}
	file := filepath.Join(t.TempDir(), "clone")
	if r := sh.runIn(t.Context(), ticket, "session", "clone", "--session-file", file); r.code != 0 {
		t.Fatal(r.err)
	}
	if r := sh.runIn(t.Context(), ticket, "login", "--clone-ticket-stdin"); r.code != 0 {
		t.Fatal(r.err)
	}
	if got := s.got("POST SessionManager.CloneSession"); len(got) != 2 || !strings.Contains(got[0], `"cst-VCT-1"`) {
		t.Errorf("calls: %v", got)
	}
	if s.sessions() != 3 {
		t.Errorf("%d sessions, want 3", s.sessions())
	}
	sh.must("whoami", "--session-file", file)
	sh.must("logout", "--session-file", file)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("session file after logout: %v", err)
	}
}

func TestASessionIsNeverSentToAnotherServer(t *testing.T) {
	s, other := startServer(t, nil), startServer(t, nil)
	sh := newShell(t, s)
	file := filepath.Join(t.TempDir(), "session")
	sh.must("login", "--session-file", file)
	contains(t, sh.fails(2, "whoami", "--session-file", file, "--url", other.URL), "another server")
	contains(t, sh.fails(3, "whoami", "--url", other.URL), "not logged in")
	if got := other.got("POST"); len(got) != 0 {
		t.Errorf("the other server got %v", got)
	}
}

func TestAllLoginMethods(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	saml := write("saml", "<saml2:Assertion/>\n")
	password := write("password", adminPass+"\n")
	ticket := `{"_typeName":"SessionManagerLocalTicket","userName":"root","passwordFilePath":"` + password + `"}`
	for name, tc := range map[string]struct {
		args        []string
		stdin, want string
	}{
		"password file": {[]string{"--password-file", password}, "",
			`Login {"userName":"administrator@vsphere.local","password":"` + adminPass + `"`},
		"password stdin": {[]string{"--password-stdin", "--locale", "de"}, adminPass + "\r\n", `"locale":"de"`},
		"certificate":    {[]string{"--extension", "com.x"}, "", `LoginExtensionByCertificate {"extensionKey":"com.x"`},
		"subject": {[]string{"--extension-subject", "com.x"}, "",
			`LoginExtensionBySubjectName {"extensionKey":"com.x"`},
		"token": {[]string{"--token-file", saml}, "", `LoginByToken`},
		"sspi":  {[]string{"--sspi", "-"}, "bGVn\n", `LoginBySSPI {"base64Token":"bGVn"`},
		"local": {[]string{"--local", "--username", "root"}, "", `AcquireLocalTicket {"userName":"root"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, map[string]string{"POST SessionManager.AcquireLocalTicket": ticket})
			sh := newShell(t, s)
			delete(sh.env, "VIGATE_PASSWORD")
			r := sh.runIn(t.Context(), tc.stdin, append([]string{"login"}, tc.args...)...)
			if r.code != 0 {
				t.Fatal(r.err)
			}
			contains(t, strings.Join(s.got("POST"), "\n"), tc.want)
			if name == "token" && len(s.got("authorization SIGN")) != 1 {
				t.Error("no SIGN header with the token")
			}
			if len(sh.savedFiles()) != 1 {
				t.Errorf("saved files: %v", sh.savedFiles())
			}
		})
	}
}

func TestALoginBySSPIPrintsTheChallenges(t *testing.T) {
	s := startServer(t, map[string]string{
		"POST SessionManager.LoginBySSPI": `fault {"_typeName":"SSPIChallenge","faultstring":"more",` +
			`"base64Token":"Y2hhbGxlbmdl"}`})
	r := newShell(t, s).runIn(t.Context(), "bGVn\nbW9yZQ==\n", "login", "--sspi", "-")
	if r.code != 3 || r.out != "Y2hhbGxlbmdl\nY2hhbGxlbmdl\n" {
		t.Errorf("exit %d, output %q, error %q", r.code, r.out, r.err)
	}
	contains(t, r.err, "another SSPI token")
}

func TestALegacyExtensionLoginIsRefusedByTheServer(t *testing.T) {
	s := startServer(t, map[string]string{
		"POST SessionManager.LoginExtension": `fault {"_typeName":"NotSupported","faultstring":"The operation is not ` +
			`supported on the object."}`})
	sh := newShell(t, s)
	contains(t, sh.fails(2, "login", "--extension-legacy", "com.x"), "--credentials-file")
	r := sh.runIn(t.Context(), "c2lnbmVk", "login", "--extension-legacy", "com.x", "--credentials-file", "-")
	if r.code != 1 {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	contains(t, r.err, "not supported")
	contains(t, s.got("POST SessionManager.LoginExtension")[0], "c2lnbmVk")
}

func TestAPasswordIsAskedForOnlyByLogin(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	delete(sh.env, "VIGATE_PASSWORD")
	contains(t, sh.fails(3, "whoami"), "vigate login")
	if len(sh.asked) != 0 {
		t.Errorf("asked %q", sh.asked)
	}
	contains(t, sh.fails(2, "login"), "no terminal", "--password-stdin")
	sh.typed, sh.asked = []string{adminPass}, nil
	sh.must("login")
	if len(sh.asked) != 1 || !strings.Contains(sh.asked[0], adminName) {
		t.Errorf("asked %q", sh.asked)
	}
}

func TestAPasswordInTheURLOfTheCommandLineIsRefused(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	delete(sh.env, "VIGATE_URL")
	url := strings.Replace(s.URL, "https://", "https://bob:secret-word@", 1)
	text := sh.fails(2, "login", "--url", url)
	contains(t, text, "can see a password in --url", "--password-stdin")
	if strings.Contains(text, "secret-word") {
		t.Error("the error repeats the password")
	}
	if len(s.got("POST")) != 0 {
		t.Error("the server was called")
	}
}

func TestASessionThatIsNotSavedIsLoggedOut(t *testing.T) {
	s := startServer(t, map[string]string{"GET SessionManager.message": `"hello"`})
	sh := newShell(t, s)
	sh.must("session", "message", "--no-keep")
	if s.logins() != 1 || s.sessions() != 0 || len(sh.savedFiles()) != 0 {
		t.Errorf("%d logins, %d sessions, files %v", s.logins(), s.sessions(), sh.savedFiles())
	}
}

func TestASessionThatCannotBeSavedIsLoggedOut(t *testing.T) {
	s := startServer(t, map[string]string{"GET SessionManager.message": `"hello"`})
	sh := newShell(t, s)
	r := sh.runIn(t.Context(), "", "session", "message", "--session-file",
		filepath.Join(t.TempDir(), "missing", "file"))
	if r.code != 0 || r.out != "hello\n" || !strings.Contains(r.err, "warning: save session") {
		t.Errorf("exit %d, output %q, error %q", r.code, r.out, r.err)
	}
	if s.sessions() != 0 {
		t.Errorf("%d sessions remain", s.sessions())
	}
}

func TestNoOutputHoldsTheTokenOrThePassword(t *testing.T) {
	s := startServer(t, map[string]string{"GET SessionManager.sessionList": "[" + sessionJSON(ownKey, "a") + "]"})
	sh := newShell(t, s)
	var all string
	for _, args := range [][]string{{"login", "-o", "json"}, {"whoami", "-o", "json"}, {"session", "ls", "-o", "json"},
		{"login"}, {"session", "ls"}} {
		r := sh.run(args...)
		if r.code != 0 {
			t.Fatal(r.err)
		}
		if strings.Contains(strings.Join(args, " "), "json") && !json.Valid([]byte(r.out)) {
			t.Errorf("%v: not JSON: %s", args, r.out)
		}
		all += r.out + r.err
	}
	for _, secret := range []string{adminPass, "0000000000000000000000000000000000000001",
		"0000000000000000000000000000000000000002"} {
		if strings.Contains(all, secret) {
			t.Errorf("output holds a secret: %s", all)
		}
	}
}

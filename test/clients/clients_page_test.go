package clients

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// examples are the programs of a page that run as they are printed, with their languages.
var examples = regexp.MustCompile("(?ms)^```(\\w+) typed\n(.*?)^```$")

// interpreters run the example of a language in a file. %s stands for the example, which knows the password.
var interpreters = map[string]struct {
	command []string
	program string
}{
	"python": {[]string{"/usr/bin/python3"}, "import os\npassword = os.environ['VIGATE_ADMIN_PASSWORD']\n%s"},
	"php":    {[]string{"php"}, "<?php\n$password = getenv('VIGATE_ADMIN_PASSWORD');\n%s"},
	"js": {[]string{"node"}, "const password = process.env.VIGATE_ADMIN_PASSWORD;\n(async () => {\n%s\n})()" +
		".catch((e) => { console.error(e); process.exit(1); });\n"},
	"perl": {[]string{"perl"}, "use strict;\nuse warnings;\nmy $password = $ENV{VIGATE_ADMIN_PASSWORD};\n%s"},
}

// The page on clients shows a program for each library, which logs in and out.
func TestTheProgramsOfThePageOnClientsWork(t *testing.T) {
	s := newServer(t)
	found := examples.FindAllStringSubmatch(readFile(t, "../../docs/clients.md"), -1)
	if len(found) < 6 {
		t.Fatalf("docs/clients.md has %d programs", len(found))
	}
	modules, err := filepath.Abs("testdata/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_PATH", modules)
	dir := t.TempDir()
	const cert = "vigate.pem" // as the page names it
	b := readFile(t, filepath.Join(s.dir, "cert.pem"))
	if err := os.WriteFile(filepath.Join(dir, cert), []byte(b), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range found {
		by, ok := interpreters[m[1]]
		if !ok {
			t.Fatalf("nothing runs %s", m[1])
		}
		text := strings.ReplaceAll(m[2], "vigate.example", s.tls)
		file := filepath.Join(dir, "example")
		if err := os.WriteFile(file, []byte(strings.Replace(by.program, "%s", text, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		program(t, dir, cert, append(by.command, file)...)
	}
	events := s.govc(t, adminUser, adminPassword, false).ok("events", "-n", "1000")
	if got := strings.Count(events, "logged out"); got != len(found) {
		t.Errorf("%d of %d programs have logged out:\n%s", got, len(found), events)
	}
}

//go:build soak

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// wsdl of Mono builds the classes from the files, as .NET's program of the same name does. Mono is too large to be
// installed for each run of the tests.
func TestDotNetBuildsItsClientFromTheWSDL(t *testing.T) {
	s := newServer(t, "--lockout-failures", "100")
	sdk := "http://" + s.plain + "/sdk"
	source, err := filepath.Abs("testdata/dotnet/Sessions.cs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	run("wsdl", "-nologo", "-namespace:Vim25", "-out:Vim25.cs", sdk+"/vimService.wsdl")
	run("mcs", "-nologo", "-r:System.Web.Services", "-out:Sessions.exe", "Vim25.cs", source)
	out := program(t, dir, "", "mono", "Sessions.exe", sdk)
	has(t, ".NET", out, "ok login", "ok list", "ok terminate", "ok logout")

	// The example of the page.
	_, example, _ := strings.Cut(readFile(t, "../../docs/clients.md"), "```cs\n")
	example, _, _ = strings.Cut(example, "```")
	example = "using System;\nusing System.Net;\nusing Vim25;\n\nstatic class Page\n{\n    static void Main()\n" +
		"    {\n" + `var password = Environment.GetEnvironmentVariable("VIGATE_ADMIN_PASSWORD");` + "\n" +
		strings.ReplaceAll(example, "https://vigate.example/sdk", sdk) + "    }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "Page.cs"), []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	run("mcs", "-nologo", "-r:System.Web.Services", "-out:Page.exe", "Vim25.cs", "Page.cs")
	program(t, dir, "", "mono", "Page.exe")
}

package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// built are the programs whose libraries build their clients from the WSDL. Each logs in, lists the sessions, ends
// the session of another client, logs out, and decodes faults.
var built = []struct {
	name string
	// command is followed by the URL of the WSDL and the file of the server's certificate.
	command []string
	// dir is the directory in which the program runs. If empty, it is that of the tests.
	dir  string
	file string // of the WSDL
}{
	{"zeep", []string{"/usr/bin/python3", "testdata/zeep_sessions.py"}, "", "/sdk/vimService?wsdl"},
	{"suds", []string{"/usr/bin/python3", "testdata/suds_sessions.py"}, "", "/sdk/vimService.wsdl"},
	{"php", []string{"php", "testdata/soap_sessions.php"}, "", "/sdk/vim25/vimService.wsdl"},
	{"perl", []string{"perl", "testdata/soap_lite_sessions.pl"}, "", "/sdk/vimService.wsdl"},
	{"node", []string{"node", "sessions.js"}, "testdata/node", "/sdk/vimService?WSDL"},
}

// program runs a program, which must succeed. cert is the file of the certificate that Python, node and Perl trust.
func program(t *testing.T, dir, cert string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword, "NODE_EXTRA_CA_CERTS="+cert,
		"SSL_CERT_FILE="+cert, "PERL_LWP_SSL_CA_FILE="+cert)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestLibrariesBuildTheirClientsFromTheWSDL(t *testing.T) {
	// Each program tries a wrong password.
	s := newServer(t, "--lockout-failures", "100")
	cert := filepath.Join(s.dir, "cert.pem")
	for _, b := range built {
		for scheme, address := range map[string]string{"http": s.plain, "https": s.tls} {
			t.Run(b.name+" over "+scheme, func(t *testing.T) {
				out := program(t, b.dir, cert, append(slices.Clone(b.command), scheme+"://"+address+b.file, cert)...)
				has(t, b.name, out, "ok login", "ok list", "ok terminate", "ok logout")
			})
		}
	}
}

// The library always uses TLS. It posts to the file from which it has read the WSDL, and leaves out the types of
// objects.
func TestNodeVsphereSoapWorksWithSessions(t *testing.T) {
	s := newServer(t)
	out := program(t, "testdata/node", filepath.Join(s.dir, "cert.pem"), "node", "vsphere.js", s.tls)
	has(t, "node-vsphere-soap", out, "ok login", "ok list", "ok terminate", "ok logout")
}

var plainFront = regexp.MustCompile(`^ +(http://\S+) `)

// The whole API has more than 900 methods, which zeep reads in a few seconds.
func TestZeepBuildsAClientForAFrontFromTheWSDL(t *testing.T) {
	lines := startLab(t, "--leak", "0", "--password", "password of the lab")
	var front string
	for front == "" && lines.Scan() {
		if m := plainFront.FindStringSubmatch(lines.Text()); m != nil {
			front = m[1]
		}
	}
	out := program(t, "", "", "/usr/bin/python3", "testdata/zeep_front.py", front+"/sdk/vimService?wsdl",
		"password of the lab")
	has(t, "zeep", out, "ok login", "ok inventory 4 machines 4 hosts", "ok types", "ok logout")
}

// Package ldaptest is support of tests: it runs OpenLDAP's server, slapd, with users and groups. Each
// [Server] has a directory of its own below the test's temporary directory, listens on loopback
// addresses only, and ends with the test, even if the test's process is killed.
package ldaptest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/vigate/vigate/internal/trust/trusttest"
)

// Names and passwords in the directory. The password of a user is its name and "-pw".
const (
	Base     = "dc=corp,dc=example"
	People   = "ou=people," + Base
	Groups   = "ou=groups," + Base
	Service  = "cn=vigate," + Base // may read everything but passwords
	Password = "service-pw"        // of Service

	manager = "cn=manager," + Base // may do everything
	master  = "manager-pw"
)

// patience is how long a server may take to start on a busy machine.
const patience = 60 * time.Second

// Options of a server. The zero value is a server with the standard content.
type Options struct {
	// LDIF is added to the standard content.
	LDIF string
	// Plain allows passwords without TLS.
	Plain bool
	// Schemas are the names of schemas besides those of people and groups.
	Schemas []string
	// Name is the name in the server's certificate. If empty, it has the names of this machine.
	Name string
}

// Server is a running slapd.
type Server struct {
	LDAP, LDAPS string // its URLs
	CA          string // the PEM file of the authority of its certificate

	t       testing.TB
	dir     string
	process *exec.Cmd
	pid     int // of slapd, which is not that of process
	end     func()
}

// Start starts a server and waits until it answers.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), end: func() {}}
	s.CA = filepath.Join(s.dir, "ca.pem")
	WriteCertificate(t, s.dir, o.Name)
	s.write("slapd.conf", s.configuration(o))
	s.write("init.ldif", content+o.LDIF)
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	fill := exec.Command(program(), "-T", "add", "-q", "-f", s.path("slapd.conf"), "-l", s.path("init.ldif"))
	out, err := fill.CombinedOutput()
	if err != nil {
		t.Fatalf("fill directory: %v\n%s", err, out)
	}
	t.Cleanup(s.Kill)
	// Another process may take a port between the choice and the start.
	for range 5 {
		if err = s.start(); err == nil {
			return s
		}
		s.Kill()
	}
	t.Fatalf("start slapd: %v", err)
	return nil
}

// program returns the path of slapd.
func program() string {
	if path, err := exec.LookPath("slapd"); err == nil {
		return path
	}
	return "/usr/sbin/slapd"
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// WriteCertificate makes an authority and a server's certificate. It writes ca.pem, cert.pem and
// key.pem into the directory. If name is empty, the certificate has the names of this machine.
func WriteCertificate(t testing.TB, dir, name string) {
	t.Helper()
	ca := trusttest.New(t, "directory")
	cert, key := ca.Issue("server", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if c.DNSNames = []string{name}; name == "" {
			c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
		}
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: ca.Cert.Raw},
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Raw},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *Server) configuration(o Options) string {
	var b strings.Builder
	for _, name := range append([]string{"core", "cosine", "inetorgperson"}, o.Schemas...) {
		fmt.Fprintf(&b, "include /etc/ldap/schema/%s.schema\n", name)
	}
	fmt.Fprintf(&b, `modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile %[1]s/slapd.pid
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
sizelimit unlimited
`, s.dir)
	if !o.Plain {
		b.WriteString("security simple_bind=128\n")
	}
	fmt.Fprintf(&b, `access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="%[2]s" read by * none
database mdb
maxsize 16777216
suffix "%[3]s"
rootdn "%[4]s"
rootpw %[5]s
directory %[1]s/db
index objectClass,uid,cn,member eq
overlay ppolicy
ppolicy_default "cn=default,ou=policies,%[3]s"
`, s.dir, Service, Base, manager, master)
	return b.String()
}

// guard runs its arguments as a child and kills it when its own input ends, which happens when the
// process of the test ends. It prints the process id of the child.
const guard = `exec 3<&0; "$@" & echo $!; p=$!; { cat <&3 >/dev/null; kill -KILL $p; } 2>/dev/null & wait $p`

// start starts the server on ports that are free now.
func (s *Server) start() error {
	ports, err := free(2)
	if err != nil {
		return err
	}
	s.LDAP, s.LDAPS = "ldap://127.0.0.1:"+ports[0], "ldaps://127.0.0.1:"+ports[1]
	return s.run()
}

// free returns different ports that nobody listens on.
func free(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// Restart starts the server again with the same ports and content, after Kill.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatalf("start slapd again: %v", err)
	}
}

func (s *Server) run() error {
	var log bytes.Buffer
	s.process = exec.Command("/bin/sh", "-c", guard, "sh", program(), "-f", s.path("slapd.conf"),
		"-h", s.LDAP+" "+s.LDAPS, "-d", "0")
	s.process.Stderr = &log
	input, err := s.process.StdinPipe()
	if err != nil {
		return err
	}
	output, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err == nil {
		s.pid, err = strconv.Atoi(strings.TrimSpace(line))
	}
	go func() {
		defer close(ended)
		_ = s.process.Wait()
	}()
	s.end = func() {
		_ = input.Close()
		<-ended
	}
	if err == nil {
		err = s.wait(ended)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, log.String())
	}
	return err
}

// wait waits until the server answers.
func (s *Server) wait(ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := ldap.DialURL(s.LDAP)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Kill kills the server, as a crash would, and waits until it has ended.
func (s *Server) Kill() {
	s.end()
	s.end = func() {}
}

// Pause stops the server without closing its connections, and Resume lets it go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(number syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid, number); err != nil {
		s.t.Fatalf("signal slapd: %v", err)
	}
}

// Modify adds, replaces or deletes as the directory's manager. The text is in LDIF.
func (s *Server) Modify(ldif string) {
	s.t.Helper()
	cmd := exec.Command("ldapmodify", "-H", s.LDAP, "-ZZ", "-x", "-D", manager, "-w", master)
	cmd.Env = append(os.Environ(), "LDAPTLS_CACERT="+s.CA)
	cmd.Stdin = strings.NewReader(ldif)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("change directory: %v\n%s", err, out)
	}
}

// User returns the LDIF of a user.
func User(name, more string) string {
	return fmt.Sprintf("dn: cn=%[1]s of people,%[2]s\nobjectClass: inetOrgPerson\ncn: %[1]s of people\nsn: %[1]s\n"+
		"uid: %[1]s\ndisplayName: The %[1]s\nuserPassword: %[1]s-pw\n%[3]s\n", name, People, more)
}

// DN returns the distinguished name of a user that User has made.
func DN(user string) string { return "cn=" + user + " of people," + People }

// Group returns the LDIF of a group with the members.
func Group(name string, members ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dn: cn=%[1]s,%[2]s\nobjectClass: groupOfNames\ncn: %[1]s\ndescription: The %[1]s\n", name, Groups)
	for _, m := range members {
		fmt.Fprintf(&b, "member: %s\n", m)
	}
	return b.String() + "\n"
}

// GroupDN returns the distinguished name of a group that Group has made.
func GroupDN(name string) string { return "cn=" + name + "," + Groups }

// content is the standard content: alice is in the group inner, inner in outer, and outer in inner.
// bob is in no group. carol is locked by an administrator. twin is the name of two users, and double
// has two names. There is a user whose name is a part of a filter. After three wrong passwords a user
// is locked.
var content = strings.NewReplacer("BASE", Base, "SERVICE", Service, "PASSWORD", Password).Replace(`dn: BASE
objectClass: organization
objectClass: dcObject
o: Corp
dc: corp

dn: ou=people,BASE
objectClass: organizationalUnit
ou: people

dn: ou=groups,BASE
objectClass: organizationalUnit
ou: groups

dn: ou=policies,BASE
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,BASE
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdMustChange: TRUE

dn: SERVICE
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: vigate
userPassword: PASSWORD

`) + User("alice", "") + User("bob", "") + User("carol", "pwdAccountLockedTime: 000001010000Z\n") +
	User("dave", "") + User("evil*)(uid=*", "") + User("twin", "") + User("double", "uid: second\n") +
	strings.NewReplacer("twin of", "other twin of", "twin-pw", "other-pw").Replace(User("twin", "")) +
	Group("inner", DN("alice"), GroupDN("outer")) + Group("outer", GroupDN("inner")) + Group("empty", Base)

package clients

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// everyBinding runs f over SOAP and over VI JSON. The results of all commands must be the same.
func everyBinding(t *testing.T, f func(t *testing.T, s *server, json bool)) {
	s := newServer(t)
	t.Run("SOAP", func(t *testing.T) { f(t, s, false) })
	t.Run("VI JSON", func(t *testing.T) { f(t, s, true) })
}

// keyOf returns the keys of the user's sessions that session.ls shows.
func keysOf(ls, user string) []string {
	var keys []string
	for line := range strings.Lines(ls) {
		if f := strings.Fields(line); len(f) > 1 && strings.EqualFold(f[1], user) {
			keys = append(keys, f[0])
		}
	}
	return keys
}

// The administrator's name, and its form in the Automation API.
const (
	admin     = `VSPHERE.LOCAL\Administrator`
	adminName = "Administrator@VSPHERE.LOCAL"
)

func TestGovcSeesTheServerAndItsSessions(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		g := s.govc(t, adminUser, adminPassword, asJSON)
		has(t, "about without credentials", g.with("GOVC_USERNAME=", "GOVC_PASSWORD=").ok("about"), "vigate",
			"VirtualCenter")
		ls := g.ok("session.ls")
		has(t, "session.ls", ls, admin, "127.0.0.1", "govc/")
		if got := g.ok("session.ls", "-S"); len(keysOf(got, admin)) != 1 {
			t.Errorf("session.ls -S:\n%s", got)
		}
		var parsed struct {
			SessionList []struct{ Key, UserName string }
		}
		if err := json.Unmarshal([]byte(g.ok("session.ls", "-json")), &parsed); err != nil ||
			len(parsed.SessionList) == 0 || parsed.SessionList[0].UserName != admin {
			t.Errorf("session.ls -json: %v %+v", err, parsed)
		}
		g.ok("session.login", "-r")
		has(t, "session.ls -r", g.ok("session.ls", "-r"), "(REST)")
		// govc stores the session, so a second command creates none.
		if before, after := len(keysOf(ls, admin)), len(keysOf(g.ok("session.ls"), admin)); after > before+1 {
			t.Errorf("%d sessions became %d", before, after)
		}
		g.ok("session.logout")
	})
}

func TestGovcEndsSessions(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		g := s.govc(t, adminUser, adminPassword, asJSON)
		own := keysOf(g.ok("session.ls", "-S"), admin)[0]
		other := s.govc(t, adminUser, adminPassword, asJSON)
		victim := keysOf(other.ok("session.ls", "-S"), admin)[0]
		g.fails("could not be found", "session.rm", "00000000-0000-4000-8000-000000000000")
		g.fails("A specified parameter was not correct: sessionId", "session.rm", own)
		g.ok("session.rm", victim)
		if strings.Contains(g.ok("session.ls"), victim) {
			t.Error("the session is still listed")
		}
		other.with("GOVC_USERNAME=", "GOVC_PASSWORD=").fails("NotAuthenticated", "session.ls")
		g.ok("session.logout")
	})
}

func TestGovcLogsInWithEveryMethod(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		g := s.govc(t, adminUser, adminPassword, asJSON)
		cookie := g.ok("session.login", "-l")
		if !regexp.MustCompile(`^"?[0-9a-f]{40}"?$`).MatchString(cookie) {
			t.Errorf("session.login -l: %q", cookie)
		}
		fresh := s.govc(t, "", "", asJSON)
		fresh.ok("session.login", "-cookie", cookie)
		has(t, "session of a cookie", fresh.ok("session.ls", "-S"), admin)

		ticket := g.ok("session.login", "-clone")
		if !strings.HasPrefix(ticket, "cst-VCT-") {
			t.Errorf("session.login -clone: %q", ticket)
		}
		clone := s.govc(t, "", "", asJSON)
		clone.ok("session.login", "-ticket", ticket)
		has(t, "cloned session", clone.ok("session.ls", "-S"), admin)
		s.govc(t, "", "", asJSON).fails("incorrect user name or password", "session.login", "-ticket", ticket)
		g.ok("session.login", "-r")
	})
}

func TestGovcGetsTheErrorsOfAVCenter(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		wrong := s.govc(t, adminUser, "wrong", asJSON)
		wrong.fails("Cannot complete login due to an incorrect user name or password.", "session.ls")
		g := s.govc(t, adminUser, adminPassword, asJSON)
		g.ok("session.login")
		key := keysOf(g.ok("session.ls", "-S"), admin)[0]
		s.govc(t, adminUser, adminPassword, asJSON).ok("session.rm", key)
		// If govc has credentials, it logs in again after the end of its session.
		g.ok("session.ls")
		g.ok("session.logout")
	})
}

// account adds a local user with a role. It uses the vigate command.
func (s *server) account(t *testing.T, name, role string) {
	t.Helper()
	s.vigate(t, userPassword, "user", "add", name, "--new-password-file", "-")
	s.vigate(t, "", "permission", "set", name, role)
}

// vigate runs the vigate command as the administrator.
func (s *server) vigate(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command(bin.vigate, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{
		"HOME=" + s.home, "VIGATE_URL=https://" + s.tls, "VIGATE_INSECURE=true",
		"VIGATE_USERNAME=" + adminUser, "VIGATE_PASSWORD=" + adminPassword,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("vigate %v: %v\n%s", args, err, out)
	}
}

func TestGovcImpersonatesAnotherUser(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		name := map[bool]string{false: "operator", true: "operator2"}[asJSON]
		s.account(t, name, "ReadOnly")
		g := s.govc(t, adminUser, adminPassword, asJSON)
		g.fails("incorrect user name or password", "session.login", "-as", name+"@vsphere.local")
		o := s.govc(t, name+"@vsphere.local", userPassword, asJSON)
		o.ok("session.login")
		as := s.govc(t, adminUser, adminPassword, asJSON)
		as.ok("session.login", "-as", name+"@vsphere.local")
		o.fails("Permission to perform this operation was denied", "session.rm", "00000000-0000-4000-8000-000000000000")
	})
}

func TestGovcManagesRolesPermissionsAndOptions(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		g := s.govc(t, adminUser, adminPassword, asJSON)
		has(t, "role.ls", g.ok("role.ls"), "Admin", "ReadOnly", "NoAccess")
		role := map[bool]string{false: "Watcher", true: "Watcher2"}[asJSON]
		g.ok("role.create", role, "Sessions.TerminateSession")
		has(t, "role.ls of it", g.ok("role.ls", role), "Sessions.TerminateSession")
		name := map[bool]string{false: "watcher", true: "watcher2"}[asJSON]
		s.account(t, name, "ReadOnly")
		g.ok("permissions.set", "-principal", `VSPHERE.LOCAL\`+name, "-role", role)
		has(t, "permissions.ls", g.ok("permissions.ls"), name, role)
		has(t, "session.ls of who may now", s.govc(t, name, userPassword, asJSON).ok("session.ls"), admin)
		g.ok("permissions.remove", "-principal", `VSPHERE.LOCAL\`+name)
		g.ok("role.remove", role)
		if out := g.ok("role.ls"); strings.Contains(out, role+" ") {
			t.Errorf("the role is still there:\n%s", out)
		}
		has(t, "option.ls", g.ok("option.ls"), "config.vmacore.soap.sessionTimeout")
		g.ok("option.set", "config.vmacore.soap.sessionTimeout", "45")
		has(t, "option.ls after set", g.ok("option.ls", "config.vmacore.soap.sessionTimeout"), "45")
		g.fails("", "option.set", "no.such.option", "1")
		has(t, "events", g.ok("events", "-n", "200"), "logged in as")
	})
}

func TestGovcManagesExtensionsAndLogsInAsOne(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		key := map[bool]string{false: "com.example.probe", true: "com.example.probe2"}[asJSON]
		cert, priv := certificate(t, key)
		g := s.govc(t, adminUser, adminPassword, asJSON)
		g.with().okStdin(`{"key":"`+key+`","version":"1.0","description":{"label":"Probe","summary":"A probe"},`+
			`"lastHeartbeatTime":"2026-01-01T00:00:00Z"}`, "extension.register")
		has(t, "extension.info", g.ok("extension.info", key), key, "A probe")
		g.ok("extension.setcert", "-cert-pem", readFile(t, cert), key)
		// govmomi reaches the TLS listener through CONNECT on the plain port.
		_, port, _ := strings.Cut(s.plain, ":")
		e := s.govc(t, "", "", asJSON).with("GOVMOMI_TUNNEL_PROXY_PORT="+port, "GOVC_CERTIFICATE="+cert,
			"GOVC_PRIVATE_KEY="+priv)
		e.ok("session.login", "-extension", key)
		has(t, "session of the extension", g.ok("session.ls"), key)
		g.ok("extension.unregister", key)
		if strings.Contains(g.ok("session.ls"), key) {
			t.Error("the extension's session outlives it")
		}
	})
}

func TestGovcWaitsForAChange(t *testing.T) {
	everyBinding(t, func(t *testing.T, s *server, asJSON bool) {
		g := s.govc(t, adminUser, adminPassword, asJSON)
		has(t, "object.collect", g.ok("object.collect", "-s", "SessionManager:SessionManager",
			"currentSession.userName"), admin)
		g.ok("session.login")
		done := make(chan string, 1)
		text := map[bool]string{false: "maintenance at noon", true: "maintenance at night"}[asJSON]
		go func() {
			out, bad, _ := g.try("object.collect", "-wait", "20s", "SessionManager:SessionManager", "-message", text)
			done <- out + bad
		}()
		s.vigate(t, "", "session", "message", text)
		has(t, "what the waiter saw", <-done, text)
	})
}

package console

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// The users of each server.
const (
	admin    = `VSPHERE.LOCAL\administrator`
	warden   = `VSPHERE.LOCAL\warden` // may see and end sessions
	robot    = `VSPHERE.LOCAL\robot`  // may do nothing with the sessions of others
	password = "correct horse battery staple 7"
	ending   = "Ending" // the role of the warden
)

// site is a server with a console.
type site struct {
	*lab.Server
	t    *testing.T
	http *http.Client
}

// newSite starts a server that runs until the test has ended.
func newSite(t *testing.T, options ...func(*lab.Options)) *site {
	t.Helper()
	word := secret.New(password)
	o := lab.Options{
		AdminPassword: word,
		Roles:         []lab.Role{{Name: ending, Privileges: []string{"Sessions.TerminateSession"}}},
		Users: []lab.User{
			{Name: warden, Password: word, FullName: "Wanda Warden", Role: ending},
			{Name: robot, Password: word, FullName: "A Robot", Role: "ReadOnly"},
		},
	}
	for _, change := range options {
		change(&o)
	}
	s, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{Server: s, t: t, http: &http.Client{Transport: transport}}
}

// origin returns the address without a path.
func (s *site) origin() string { return "https://" + s.Addr().String() }

// page returns the address of a page of the console.
func (s *site) page(path string) string { return s.origin() + path }

// enter opens a tab in which a user is logged in and sees the sessions.
func (s *site) enter(user string) *tab {
	s.t.Helper()
	b := newTab(s.t)
	b.open(s.page("/ui/"))
	b.login(user, password)
	b.at("/ui/sessions")
	return b
}

// session is a session of another client.
type session struct {
	s       *site
	address string // of the client, if the server trusts a proxy at the loopback address; empty: that of the test
	token   string
	key     string
}

// start logs a user in, as a client with the name.
func (s *site) start(user, client string) *session {
	s.t.Helper()
	return s.startAt("", user, client)
}

// startAt is start for a client at an address.
func (s *site) startAt(address, user, client string) *session {
	s.t.Helper()
	x := &session{s: s, address: address}
	var out struct{ Key string }
	header := x.call("Login", client, map[string]string{"userName": user, "password": password}, &out)
	x.token, x.key = header.Get("vmware-api-session-id"), out.Key
	return x
}

// startMany starts sessions of the robot.
func (s *site) startMany(n int, client string) {
	s.t.Helper()
	for range n {
		s.start(robot, client)
	}
}

// logout ends the session by its own client.
func (x *session) logout() { x.call("Logout", "", struct{}{}, nil) }

// call calls a method of the session manager, which must succeed.
func (x *session) call(method, client string, args, out any) http.Header {
	x.s.t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		x.s.t.Fatal(err)
	}
	return x.send(http.MethodPost, method, client, bytes.NewReader(body), out)
}

// use reads a property of the session manager, so that the session is not idle.
func (x *session) use(client string) {
	x.s.t.Helper()
	x.send(http.MethodGet, "currentSession", client, nil, nil)
}

// send sends a request for a method or a property of the session manager, which must succeed.
func (x *session) send(verb, name, client string, body io.Reader, out any) http.Header {
	x.s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), verb,
		x.s.origin()+"/sdk/vim25/8.0.1.0/SessionManager/SessionManager/"+name, body)
	if err != nil {
		x.s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", client)
	if x.address != "" {
		r.Header.Set("X-Forwarded-For", x.address)
	}
	if x.token != "" {
		r.Header.Set("vmware-api-session-id", x.token)
	}
	res, err := x.s.http.Do(r)
	if err != nil {
		x.s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		x.s.t.Fatalf("%s: %s, %v\n%s", name, res.Status, err, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			x.s.t.Fatalf("%s: %v\n%s", name, err, text)
		}
	}
	return res.Header
}

// live returns how many sessions of a user there are.
func (s *site) live(user string) int {
	n := 0
	for _, l := range s.Sessions() {
		if l.Name == user {
			n++
		}
	}
	return n
}

package etcd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/store/transfer"
)

// vigate returns the program. The first call compiles it.
var vigate = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "vigate")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/vigate")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build vigate: %w\n%s", err, out)
	}
	return path, nil
})

const password = "correct horse battery staple 7"

// command returns the program with arguments. It ends with the test.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := vigate()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+password)
	return cmd
}

// copies runs store copy. The command must succeed, or fail with the text failure if there is one.
func copies(t *testing.T, from, to, failure string, more ...string) string {
	t.Helper()
	out, err := command(t, append([]string{"store", "copy", "--from", from, "--to", to}, more...)...).CombinedOutput()
	switch {
	case failure == "" && (err != nil || !strings.Contains(string(out), "copied and verified")):
		t.Fatalf("copy from %s to %s: %v\n%s", from, to, err, out)
	case failure != "" && (err == nil || !strings.Contains(string(out), failure)):
		t.Fatalf("copy from %s to %s: %v, want %q\n%s", from, to, err, failure, out)
	}
	return string(out)
}

// server is a running vigate.
type server struct {
	*testing.T
	cmd     *exec.Cmd
	base    string
	drained chan struct{} // closed when its log has ended
}

var plainListener = regexp.MustCompile(`listener=plain address=(\S+)`)

// serve runs vigate until stop is called or the test ends. Its time-outs are those of a busy
// machine.
func serve(t *testing.T, data string, more ...string) *server {
	t.Helper()
	cmd := command(t, append([]string{
		"serve", "--data", data, "--listen", "", "--plain-http", "127.0.0.1:0", "--node-name", "n1",
		"--etcd-start-timeout", "5m", "--etcd-timeout", "1m", "--etcd-max-lag", "1m",
	}, more...)...)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer close(found)
		var log strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := plainListener.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
			log.WriteString(lines.Text() + "\n")
		}
		t.Logf("the server's log:\n%s", log.String())
	}()
	s := &server{t, cmd, "", drained}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			<-drained
			_ = cmd.Wait()
		}
	})
	addr, ok := <-found
	if !ok {
		t.Fatal("the server ended before it listened")
	}
	s.base = "http://" + addr + "/sdk/vim25/8.0.1.0/"
	return s
}

// stop ends the server with the signal.
func (s *server) stop(by syscall.Signal) {
	s.Helper()
	if err := s.cmd.Process.Signal(by); err != nil {
		s.Fatal(err)
	}
	<-s.drained
	if err := s.cmd.Wait(); (err != nil) != (by == syscall.SIGKILL) {
		s.Fatalf("the server ended with %v", err)
	}
}

func (s *server) call(method, path, token, body string) (string, http.Header) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if token != "" {
		req.Header.Set("vmware-api-session-id", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		s.Fatalf("%s: %d %s, %v", path, resp.StatusCode, b, err)
	}
	return string(b), resp.Header
}

func (s *server) login() (token string) {
	s.Helper()
	credentials := `{"userName":"administrator@vsphere.local","password":"` + password + `"}`
	_, header := s.call("POST", "SessionManager/SessionManager/Login", "", credentials)
	return header.Get("vmware-api-session-id")
}

// live fails the test unless exactly the sessions of these tokens exist, and the event log has an
// event for each login.
func (s *server) live(tokens ...string) {
	s.Helper()
	for i, token := range tokens {
		b, _ := s.call("GET", "SessionManager/SessionManager/currentSession", token, "")
		if !strings.Contains(b, `"key"`) {
			s.Errorf("session %d is gone: %q", i, b)
		}
	}
	list, _ := s.call("GET", "SessionManager/SessionManager/sessionList", tokens[0], "")
	if n := strings.Count(list, `"UserSession"`); n != len(tokens) {
		s.Errorf("%d sessions, want %d", n, len(tokens))
	}
	b, _ := s.call("POST", "EventManager/EventManager/QueryEvents", tokens[0],
		`{"filter":{"_typeName":"EventFilterSpec"}}`)
	if strings.Count(b, `"UserLoginSessionEvent"`) != len(tokens) {
		s.Errorf("%d logins in the event log, want %d", strings.Count(b, `"UserLoginSessionEvent"`), len(tokens))
	}
}

func TestSessionsMoveToEtcdAndBack(t *testing.T) {
	opts := space()
	uri := "etcd://" + opts.Endpoints[0] + opts.Prefix
	first, second := t.TempDir(), t.TempDir()

	s := serve(t, first)
	tokens := []string{s.login()}
	s.stop(syscall.SIGTERM)
	copies(t, "bolt:"+first, uri, "")

	s = serve(t, t.TempDir(), "--store", uri)
	tokens = append(tokens, s.login())
	s.live(tokens...)
	nodes, _ := s.call("GET", "VigateCluster/cluster/nodes", tokens[0], "")
	if strings.Count(nodes, `"VigateNode"`) != 1 || !strings.Contains(nodes, `"name":"n1"`) {
		t.Errorf("the nodes are %s", nodes)
	}
	copies(t, uri, "bolt:"+second, `it is in use by "n1"`)
	copies(t, "bolt:"+first, uri, etcd.ErrNotEmpty.Error())
	s.stop(syscall.SIGKILL)
	keepNodes(t, opts)
	copies(t, uri, "bolt:"+second, `it is in use by "n1"`) // the node may be alive
	copies(t, uri, "bolt:"+second, "", "--force")

	s = serve(t, second)
	tokens = append(tokens, s.login())
	s.live(tokens...)
	s.stop(syscall.SIGTERM)

	again := space()
	copies(t, uri, "etcd://"+again.Endpoints[0]+again.Prefix, "", "--force")
	s = serve(t, t.TempDir(), "--store", "etcd://"+again.Endpoints[0]+again.Prefix)
	s.live(tokens[:2]...)
	s.stop(syscall.SIGTERM)
	copies(t, "etcd://"+again.Endpoints[0]+again.Prefix, "bolt:"+t.TempDir(), "") // the node has left
}

// keepNodes makes the records of the nodes last an hour. A record is only valid for some seconds
// after its node was killed, and a busy machine may need longer for the next command.
func keepNodes(t *testing.T, opts etcd.Options) {
	t.Helper()
	s := opened(t, opts)
	newest, err := s.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, _ := follow(t, s).upTo(t, newest)
	for _, r := range state {
		if r.Kind == store.Node {
			must(t, s, store.Put(r.Kind, r.ID, r.Value, time.Now().Add(time.Hour)))
		}
	}
}

func TestACopyThatFailsIsNoStore(t *testing.T) {
	dir := embedded(t, 700)
	// A copy is interrupted. The keys that it has written must not be taken for a store.
	opts := space()
	uri := "etcd://" + opts.Endpoints[0] + opts.Prefix
	from := copied(t, 700)
	ctx, cancel := context.WithCancel(t.Context())
	to := filling(t, opts)
	_, err := transfer.Copy(ctx, from, interrupted{to, cancel}, transfer.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted copy = %v", err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []etcd.Purpose{etcd.Serve, etcd.Read, etcd.Fill} {
		opts.Purpose = p
		if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, etcd.ErrUnfinished) {
			t.Errorf("Open for purpose %d = %v", p, err)
		}
	}
	out, err := command(t, "serve", "--data", t.TempDir(), "--listen", "", "--plain-http", "127.0.0.1:0",
		"--store", uri).CombinedOutput()
	if err == nil || !strings.Contains(string(out), etcd.ErrUnfinished.Error()) {
		t.Errorf("a server on it: %v\n%s", err, out)
	}
	copies(t, "bolt:"+dir, uri, etcd.ErrUnfinished.Error())
	if _, err := client(t, shared).Delete(t.Context(), opts.Prefix+"/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	copies(t, "bolt:"+dir, uri, "")
}

// interrupted cancels the copy after its first commit.
type interrupted struct {
	store.Store
	cancel context.CancelFunc
}

func (i interrupted) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	rev, err := i.Store.Commit(ctx, changes...)
	i.cancel()
	return rev, err
}

// embedded returns a data directory whose store has n sessions and a few other records.
func embedded(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	s, err := bolt.Open(filepath.Join(dir, "vigate.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.Copy(t.Context(), copied(t, n), s, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copied returns a store in memory with n sessions and a few other records.
func copied(t *testing.T, n int) store.Store {
	s := storetest.NewMemory(nil)
	for i := range n {
		value, expires := []byte(strings.Repeat("v", i)), time.Now().Add(time.Hour+time.Duration(i))
		must(t, s, store.Put(store.Session, fmt.Sprint("s", i), value, expires))
	}
	must(t, s, store.Append(store.Event, []byte("1"), never), store.Append(store.Event, []byte("2"), never))
	first := storetest.Appended(t, s, store.Event)[0]
	large := store.Put(store.Setting, "large", make([]byte, 1<<20), never)
	must(t, s, append(store.Numbering{}.Trim(store.Event, 0, 1, first.ID), large)...)
	return s
}

func filling(t *testing.T, opts etcd.Options) *etcd.Store {
	t.Helper()
	opts.Purpose = etcd.Fill
	return open(t, opts)
}

func TestACopyInEtcdIsAStoreOnceItIsFinished(t *testing.T) {
	opts := space()
	to := filling(t, opts)
	want, err := transfer.Copy(t.Context(), copied(t, 3000), to, transfer.Options{})
	if err != nil || want.Records[store.Session] != 3000 {
		t.Fatalf("Copy = %+v, %v", want, err)
	}
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, etcd.ErrUnfinished) {
		t.Errorf("Open before it is finished = %v", err)
	}
	for range 2 { // a first answer may get lost
		if err := to.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	s := opened(t, opts)
	must(t, s, store.Append(store.Event, []byte("3"), never))
	all := storetest.Appended(t, s, store.Event)
	if len(all) != 2 || all[0].ID != store.NumberedID(2) || string(all[0].Value) != "2" || string(all[1].Value) != "3" {
		t.Errorf("the events are %+v", all)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Errorf("Finish of a finished store: %v", err)
	}
	opts.Purpose = etcd.Fill
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, etcd.ErrNotEmpty) {
		t.Errorf("Open to fill a store = %v", err)
	}
}

func TestIfThereIsNoStoreNothingIsReadOrMade(t *testing.T) {
	opts := space()
	raw := client(t, shared)
	opts.Purpose = etcd.Read
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, etcd.ErrNoStore) {
		t.Errorf("Open to read nothing = %v", err)
	}
	if resp, err := raw.Get(t.Context(), opts.Prefix, clientv3.WithPrefix()); err != nil || len(resp.Kvs) != 0 {
		t.Errorf("it made %v, %v", resp, err)
	}
	copies(t, "etcd://"+opts.Endpoints[0]+opts.Prefix, "bolt:"+t.TempDir(), etcd.ErrNoStore.Error())
	// A prefix with keys of another program is refused.
	if _, err := raw.Put(t.Context(), opts.Prefix+"/other", "x"); err != nil {
		t.Fatal(err)
	}
	opts.Purpose = etcd.Fill
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, etcd.ErrNotEmpty) {
		t.Errorf("Open to fill a prefix with a key = %v", err)
	}
}

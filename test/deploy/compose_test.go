package deploy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// project reads a compose file as its programs do: strictly, with the variables of its users.
func project(t *testing.T, file string, variables ...string) *types.Project {
	t.Helper()
	path := filepath.Join(root, "deploy", "compose", file)
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path}},
		Environment: types.NewMapping(variables),
	}, func(o *loader.Options) { o.SetProjectName("test", true) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stage runs the services of a project as processes. Each has an address of its own on the loopback network in place
// of a container's, and directories in place of volumes.
type stage struct {
	project  *types.Project
	address  map[string]string // of each service
	dir      string
	programs map[string]string // by name in a command
	running  map[string]*process
}

func newStage(t *testing.T, p *types.Project) *stage {
	t.Helper()
	s := &stage{project: p, address: map[string]string{}, dir: t.TempDir(), running: map[string]*process{},
		programs: map[string]string{"serve": program(t), "haproxy": "haproxy"}}
	network := fmt.Sprintf("127.%d.%d.", 64+rand.IntN(128), rand.IntN(256))
	for i, name := range p.ServiceNames() {
		s.address[name] = network + fmt.Sprint(i+1)
	}
	return s
}

var hostAndPort = regexp.MustCompile(`([a-z]+[0-9]):([0-9]{4})`)

// adapt replaces names of services by their addresses, the addresses of the container itself by that of the service,
// and paths of volumes by directories.
func (s *stage) adapt(t *testing.T, service types.ServiceConfig, text string) string {
	t.Helper()
	text = hostAndPort.ReplaceAllStringFunc(text, func(match string) string {
		name, port, _ := strings.Cut(match, ":")
		if s.address[name] == "" {
			t.Fatalf("%s is no service", name)
		}
		return s.address[name] + ":" + port
	})
	own := s.address[service.Name]
	// The machine may allow fewer open files than the container.
	text = strings.ReplaceAll(text, "maxconn 20000", "maxconn 1000")
	text = strings.NewReplacer("0.0.0.0:", own+":", "127.0.0.1:", own+":").Replace(text)
	for target, dir := range s.mounts(t, service) {
		text = strings.ReplaceAll(text, target, dir)
	}
	return text
}

// mounts returns the directories or files in place of a service's volumes, by their paths in the container.
func (s *stage) mounts(t *testing.T, service types.ServiceConfig) map[string]string {
	t.Helper()
	all := map[string]string{}
	place := func(target string) {
		dir := filepath.Join(s.dir, service.Name+strings.ReplaceAll(target, "/", "-"))
		if err := os.MkdirAll(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		all[target] = dir
	}
	for _, v := range service.Volumes {
		if v.Type == types.VolumeTypeVolume {
			place(v.Target)
			continue
		}
		file := filepath.Join(s.dir, service.Name+"-"+filepath.Base(v.Source))
		switch info, err := os.Stat(v.Source); {
		case err == nil && !info.IsDir():
			content, err := os.ReadFile(v.Source)
			if err != nil {
				t.Fatal(err)
			}
			// What is in the file is meant for the service as well.
			plain := service
			plain.Volumes = nil
			write(t, file, s.adapt(t, plain, string(content)), 0o644)
		default: // a directory that the user makes
			file = filepath.Join(s.dir, filepath.Base(v.Source))
		}
		all[v.Target] = file
	}
	for _, line := range service.Tmpfs {
		target, _, _ := strings.Cut(line, ":")
		place(target)
	}
	return all
}

// start runs the command of a service.
func (s *stage) start(t *testing.T, name string) *process {
	t.Helper()
	service := s.project.Services[name]
	if len(service.Command) == 0 {
		t.Fatalf("%s has no command", name)
	}
	var args []string
	for _, a := range service.Command {
		args = append(args, s.adapt(t, service, a))
	}
	first := s.programs[service.Command[0]]
	if first == "" {
		t.Fatalf("%s runs %s", name, service.Command[0])
	}
	if service.Command[0] != "serve" { // the image of vigate has the program as its entry point
		args = args[1:]
	}
	var env []string
	for k, v := range service.Environment {
		env = append(env, k+"="+*v)
	}
	p := run(t, env, first, args...)
	s.running[name] = p
	return p
}

// healthy waits until the health check of a service of vigate succeeds.
func (s *stage) healthy(t *testing.T, name string) {
	t.Helper()
	service := s.project.Services[name]
	if service.HealthCheck == nil || len(service.HealthCheck.Test) < 3 || service.HealthCheck.Test[0] != "CMD" ||
		service.HealthCheck.Test[1] != "/usr/bin/vigate" {
		t.Fatalf("the health check of %s is %+v", name, service.HealthCheck)
	}
	var args []string
	for _, a := range service.HealthCheck.Test[2:] {
		args = append(args, s.adapt(t, service, a))
	}
	vigate := program(t)
	eventually(t, s.running[name], func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, vigate, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (s *stage) url(name string) string { return "https://" + s.address[name] + ":8989" }

// checkContainment checks what keeps a service of vigate in its container.
func checkContainment(t *testing.T, service types.ServiceConfig) {
	t.Helper()
	if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) ||
		!slices.Contains(service.SecurityOpt, "no-new-privileges:true") || service.Privileged || service.User != "" {
		t.Errorf("%s may do more than it needs: %+v", service.Name, service)
	}
	if grace := service.StopGracePeriod; grace == nil || grace.String() != "40s" {
		t.Errorf("%s is killed after %v", service.Name, service.StopGracePeriod)
	}
}

func TestTheComposeFileOfOneNodeServesAndKeepsItsData(t *testing.T) {
	p := project(t, "single.yaml", "VIGATE_ADMIN_PASSWORD="+adminPassword)
	checkContainment(t, p.Services["vigate"])
	s := newStage(t, p)
	server := s.start(t, "vigate")
	s.healthy(t, "vigate")
	env := client(t, s.url("vigate"))
	vigate(t, env, "login")
	server.stop(t)
	// Later starts have no password.
	s.project = project(t, "single.yaml")
	s.start(t, "vigate")
	s.healthy(t, "vigate")
	if out := vigate(t, append(env, "VIGATE_PASSWORD="), "whoami"); !strings.Contains(out, "Administrator") {
		t.Errorf("the session is gone: %s", out)
	}
}

// buildEtcd builds the etcd that the tests of the store use.
func buildEtcd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(work, "etcd")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "go.etcd.io/etcd/server/v3")
	cmd.Dir = filepath.Join(root, "test", "etcd")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestTheComposeFileOfAClusterServesThroughItsBalancerWhilePartsFail(t *testing.T) {
	p := project(t, "cluster.yaml", "VIGATE_ADMIN_PASSWORD="+adminPassword, "ETCD_IMAGE=etcd")
	s := newStage(t, p)
	s.programs["etcd"] = buildEtcd(t)
	// The certificate is made as the documents say, beside the file.
	typed(t, s.dir, "docs/install.md", "compose-certificate")
	// The files belong to the user of the image. Here the servers run as the user of the test, and refuse a pair that
	// another account could change.
	for _, name := range []string{"tls", "tls/cert.pem", "tls/key.pem"} {
		file := filepath.Join(s.dir, name)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 10001 {
			t.Errorf("%s belongs to user %d", name, owner)
		}
		if err := os.Chown(file, os.Geteuid(), os.Getegid()); err != nil {
			t.Fatal(err)
		}
	}
	nodes := []string{"vigate1", "vigate2", "vigate3"}
	for _, name := range slices.Concat([]string{"etcd1", "etcd2", "etcd3"}, nodes, []string{"balancer"}) {
		s.start(t, name)
	}
	for _, name := range nodes {
		checkContainment(t, p.Services[name])
		s.healthy(t, name)
	}
	serving(t, s.running["balancer"], s.url("balancer"))
	env := client(t, s.url("balancer"))
	vigate(t, env, "login")
	list := vigate(t, env, "node", "ls")
	for _, name := range nodes {
		if !strings.Contains(list, name) {
			t.Errorf("%s is no node: %s", name, list)
		}
	}
	// One node stops and one member of etcd is killed; the session lives on, and others can begin.
	s.running["vigate1"].stop(t)
	if err := s.running["etcd2"].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.running["etcd2"].ended
	eventually(t, s.running["balancer"], func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, program(t), "whoami")
		cmd.Env = append(os.Environ(), append(env, "VIGATE_PASSWORD=")...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	eventually(t, s.running["balancer"], func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, program(t), "whoami")
		cmd.Env = append(os.Environ(), client(t, s.url("balancer"))...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func TestTheComposeFilesRefuseWhatIsMissing(t *testing.T) {
	path := filepath.Join(root, "deploy", "compose", "cluster.yaml")
	_, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("test", true) })
	if err == nil || !strings.Contains(err.Error(), "ETCD_IMAGE") {
		t.Errorf("without an image of etcd: %v", err)
	}
}

// client returns the environment of the command line for a server.
func client(t *testing.T, url string) []string {
	t.Helper()
	return []string{
		"VIGATE_URL=" + url, "VIGATE_USERNAME=" + adminUser, "VIGATE_PASSWORD=" + adminPassword, "VIGATE_INSECURE=true",
		"XDG_STATE_HOME=" + t.TempDir(),
	}
}

// vigate runs a command of the command line, which must succeed.
func vigate(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

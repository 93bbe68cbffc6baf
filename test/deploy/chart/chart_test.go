// Package chart tests the Helm chart: it is linted and rendered by Helm's own packages, and what it renders is decoded
// into the types of Kubernetes, in which an unknown field is an error. The server's configuration in it is checked by
// the server.
package chart

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"
)

const path = "../../../deploy/helm/vigate"

// clustered are the values in docs/install.md.
func clustered(t *testing.T) map[string]any {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "\n```yaml values\n")
	if !found {
		t.Fatal("docs/install.md has no values of a cluster")
	}
	text, _, _ := strings.Cut(rest, "\n```")
	return values(t, text)
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// everything uses each value of the chart.
const everything = `
replicas: 3
image: {repository: registry.example.com/vigate, tag: "1", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
firstPassword: {secret: first}
tls: {secret: tls}
store: {etcd: {endpoints: ["etcd-0:2379", "etcd-1:2379"], prefix: p, tlsSecret: etcd, user: u, passwordSecret: w}}
config:
  idle-timeout: 1h
  trusted-proxy: [10.0.0.0/8]
files: [{name: ldap, secret: ldap}, {name: ca, configMap: ca}]
persistence: {size: 1Gi, storageClass: fast}
service:
  type: LoadBalancer
  port: 8443
  annotations: {a: b}
  fronts: [{name: lab, port: 9443}]
metrics: {tokenSecret: metrics-token, port: 9191}
networkPolicy: {from: [{podSelector: {matchLabels: {a: b}}}]}
resources: {limits: {memory: 2Gi, cpu: "2"}}
user: 20000
nodeSelector: {a: b}
tolerations: [{key: k, operator: Exists}]
affinity: {nodeAffinity: {}}
podAnnotations: {a: b}
`

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns the files that the chart makes of values.
func render(t *testing.T, v map[string]any) (map[string]string, error) {
	t.Helper()
	c := load(t)
	all, err := chartutil.ToRenderValues(c, v, chartutil.ReleaseOptions{
		Name: "vigate", Namespace: "vsphere", Revision: 1, IsInstall: true,
	}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// objects decodes what the chart makes of values.
func objects(t *testing.T, v map[string]any) []runtime.Object {
	t.Helper()
	files, err := render(t, v)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			o, _, err := decoder.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			all = append(all, o)
		}
	}
	return all
}

// one returns the object of a type.
func one[T runtime.Object](t *testing.T, all []runtime.Object) T {
	t.Helper()
	var found []T
	for _, o := range all {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) == 0 {
		t.Fatalf("there is no %T", *new(T))
	}
	return found[0]
}

func TestTheChartHasNoFaultsThatHelmFinds(t *testing.T) {
	for name, v := range map[string]map[string]any{
		"alone": {}, "clustered": clustered(t), "everything": values(t, everything),
	} {
		for _, m := range lint.AllWithKubeVersion(path, v, "vsphere", nil).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s: %v", name, m.Path, m.Err)
			}
		}
	}
}

func TestTheChartRendersObjectsOfKubernetes(t *testing.T) {
	kinds := func(v map[string]any) string {
		var all []string
		for _, o := range objects(t, v) {
			all = append(all, o.GetObjectKind().GroupVersionKind().Kind)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	alone := "ConfigMap Pod Service Service ServiceAccount StatefulSet"
	for got, want := range map[string]string{
		kinds(nil):          alone,
		kinds(clustered(t)): "ConfigMap Pod PodDisruptionBudget Service Service ServiceAccount StatefulSet",
		kinds(values(t, everything)): "ConfigMap NetworkPolicy Pod PodDisruptionBudget Service Service " +
			"ServiceAccount StatefulSet",
	} {
		if got != want {
			t.Errorf("it renders %s, want %s", got, want)
		}
	}
}

func TestANodeAloneHasAVolumeAndAClusterHasNone(t *testing.T) {
	alone, nodes := one[*appsv1.StatefulSet](t, objects(t, nil)), one[*appsv1.StatefulSet](t, objects(t, clustered(t)))
	if len(alone.Spec.VolumeClaimTemplates) != 1 || alone.Spec.VolumeClaimTemplates[0].Name != "data" ||
		*alone.Spec.Replicas != 1 {
		t.Errorf("a node alone has %+v", alone.Spec.VolumeClaimTemplates)
	}
	if len(nodes.Spec.VolumeClaimTemplates) != 0 || *nodes.Spec.Replicas != 3 {
		t.Errorf("a cluster has %+v", nodes.Spec.VolumeClaimTemplates)
	}
	s := one[*corev1.Service](t, objects(t, clustered(t)))
	if s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		t.Errorf("clients of a cluster change their node: %s", s.Spec.SessionAffinity)
	}
}

// TestEveryPodKeepsToTheRestrictedStandard checks the rules of Kubernetes' restricted Pod Security Standard.
func TestEveryPodKeepsToTheRestrictedStandard(t *testing.T) {
	for _, v := range []map[string]any{nil, clustered(t), values(t, everything)} {
		all := objects(t, v)
		for _, spec := range []corev1.PodSpec{
			one[*appsv1.StatefulSet](t, all).Spec.Template.Spec, one[*corev1.Pod](t, all).Spec,
		} {
			p := spec.SecurityContext
			if p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || *p.RunAsUser == 0 ||
				p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
				spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				t.Errorf("the pod may do more than it needs: %+v", p)
			}
			for _, c := range spec.Containers {
				s := c.SecurityContext
				if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
					!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
					t.Errorf("%s may do more than it needs: %+v", c.Name, s)
				}
			}
		}
	}
}

func TestEveryMountHasItsVolumeAndEveryPortItsName(t *testing.T) {
	for _, v := range []map[string]any{nil, clustered(t), values(t, everything)} {
		all := objects(t, v)
		set := one[*appsv1.StatefulSet](t, all)
		volumes := map[string]bool{}
		for _, v := range set.Spec.Template.Spec.Volumes {
			volumes[v.Name] = true
		}
		for _, v := range set.Spec.VolumeClaimTemplates {
			volumes[v.Name] = true
		}
		c := set.Spec.Template.Spec.Containers[0]
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("there is no volume %s", m.Name)
			}
			delete(volumes, m.Name)
		}
		if len(volumes) > 0 {
			t.Errorf("nothing mounts %v", volumes)
		}
		ports := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		for _, o := range all {
			if s, ok := o.(*corev1.Service); ok {
				for _, p := range s.Spec.Ports {
					if !ports[p.TargetPort.String()] {
						t.Errorf("service %s has no port %s", s.Name, p.TargetPort.String())
					}
				}
				if labels := set.Spec.Template.Labels; !contains(labels, s.Spec.Selector) {
					t.Errorf("service %s selects %v, the pods have %v", s.Name, s.Spec.Selector, labels)
				}
			}
		}
	}
}

func contains(all, some map[string]string) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return true
}

func TestTheChartRefusesWhatCanNotWork(t *testing.T) {
	for text, want := range map[string]string{
		`replicas: 2`:                         "more than one node need a shared store",
		`store: {etcd: {endpoints: ["e:1"]}}`: "a cluster needs tls.secret",
		`{tls: {secret: t}, store: {etcd: {endpoints: ["e:1"], user: u}}}`: "store.etcd.user needs",
		`replica: 1`:                                 "replica",
		`config: {listen: "0.0.0.0:1"}`:              "invalid propertyName 'listen'",
		`store: {etcd: {endpoints: ["http://e:1"]}}`: "endpoints",
		`files: [{name: a}]`:                         "files",
		`metrics: {token: t}`:                        "metrics",
	} {
		if _, err := render(t, values(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// program builds the server.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigate")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/vigate")
	cmd.Dir = "../../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// mount writes the files that a configuration names below dir: passwords, and one certificate with its key.
func mount(t *testing.T, dir, text string) {
	t.Helper()
	pair := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=vigate",
		"-keyout", filepath.Join(pair, "key"), "-out", filepath.Join(pair, "cert"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(text) {
		key, path, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if !strings.HasPrefix(path, dir) {
			continue
		}
		content, err := []byte("a password of the chart"), error(nil)
		switch {
		case strings.HasSuffix(key, "-key"):
			content, err = os.ReadFile(filepath.Join(pair, "key"))
		case strings.HasSuffix(key, "-cert"), strings.HasSuffix(key, "-ca"):
			content, err = os.ReadFile(filepath.Join(pair, "cert"))
		}
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheServerTakesTheConfigurationOfTheChart mounts the files as a pod has them and lets the server check its
// configuration.
func TestTheServerTakesTheConfigurationOfTheChart(t *testing.T) {
	vigate := program(t)
	for name, v := range map[string]map[string]any{
		"alone": nil, "clustered": clustered(t), "everything": values(t, everything),
	} {
		all := objects(t, v)
		c := one[*appsv1.StatefulSet](t, all).Spec.Template.Spec.Containers[0]
		dir := t.TempDir()
		text := strings.ReplaceAll(one[*corev1.ConfigMap](t, all).Data["vigate.yaml"], "/etc/vigate", dir)
		file := filepath.Join(dir, "vigate.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		mount(t, dir, text)
		out, err := exec.CommandContext(t.Context(), vigate, "config", "check", file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "no mistakes") {
			t.Errorf("%s: %v: %s\n%s", name, err, out, text)
		}
		mounted := map[string]bool{}
		for _, m := range c.VolumeMounts {
			mounted[m.MountPath] = true
		}
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if rest, ok := strings.CutPrefix(value, dir); ok && !mounted["/etc/vigate"+filepath.Dir(rest)] {
				t.Errorf("%s: %s is %s, which nothing mounts: %v", name, key, value, mounted)
			}
		}
		if got := fmt.Sprint(c.Args); got != "[serve --config /etc/vigate/vigate.yaml --node-name $(POD_NAME)]" {
			t.Errorf("%s: it runs %s", name, got)
		}
	}
}

func TestMetricsHaveAPortOnlyWithAToken(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                              "",
		`metrics: {tokenSecret: a-token}`: "0.0.0.0:9090",
		everything:                        "0.0.0.0:9191",
	} {
		all := objects(t, values(t, text))
		var port string
		for _, p := range one[*appsv1.StatefulSet](t, all).Spec.Template.Spec.Containers[0].Ports {
			if p.Name == "metrics" {
				port = fmt.Sprintf("0.0.0.0:%d", p.ContainerPort)
			}
		}
		config := map[string]any{}
		if err := yaml.Unmarshal([]byte(one[*corev1.ConfigMap](t, all).Data["vigate.yaml"]), &config); err != nil {
			t.Fatal(err)
		}
		listen, _ := config["admin-listen"].(string)
		if _, guarded := config["admin-token-file"]; port != want || listen != want || guarded != (want != "") {
			t.Errorf("the port is %q, and the server listens on %q, with a token: %t", port, listen, guarded)
		}
	}
}

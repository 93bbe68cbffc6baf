package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// examples are values of the keys that have no default.
var examples = map[string]string{
	"data":                "/var/lib/vigate",
	"plain-http":          "127.0.0.1:8990",
	"plain-http-host":     "vigate.example",
	"unix":                "/run/vigate/sock",
	"admin-listen":        "127.0.0.1:9090",
	"admin-client-ca":     "/etc/vigate/metrics-ca.pem",
	"admin-token-file":    "/etc/vigate/metrics-token",
	"ready-file":          "/run/vigate/ready.json",
	"etcd-ca":             "/etc/vigate/etcd-ca.pem",
	"etcd-cert":           "/etc/vigate/etcd-cert.pem",
	"etcd-key":            "/etc/vigate/etcd-key.pem",
	"etcd-user":           "vigate",
	"etcd-password-file":  "/etc/vigate/etcd-password",
	"node-name":           "node1",
	"tls-cert":            "/etc/vigate/cert.pem",
	"tls-key":             "/etc/vigate/key.pem",
	"client-ca":           "/etc/vigate/client-ca.pem",
	"client-crl":          "/etc/vigate/client-ca.crl",
	"trusted-proxy":       "10.0.0.0/24",
	"admin-password-file": "/etc/vigate/first-password",
}

// exampleWidth is the maximum number of columns of a comment.
const exampleWidth = 80

// Example returns a configuration file with all keys. Each has its help as a comment, and its default, or an
// example if it has none. All keys are commented out, except data, which is required. more is appended.
func Example(more string) string {
	var b strings.Builder
	comment(&b, "The configuration of a server: vigate serve --config FILE")
	b.WriteString("#\n")
	comment(&b, "Each key is shown with its default. Keys without a default are shown with an example. To set a "+
		"key, remove the # before it. Lists may have several values: [A, B].")
	for _, k := range Keys() {
		b.WriteString("\n")
		comment(&b, k.Help)
		value := k.Default
		if value == "" {
			value = examples[k.Name]
		}
		if k.Name != "data" {
			b.WriteString("#")
		}
		// The encoder puts quotes around a text that would be read as something else.
		text, err := yaml.Marshal(k.scalar(value))
		if err != nil {
			text = []byte(value + "\n")
		}
		if k.List() {
			text = fmt.Appendf(nil, "[%s]\n", strings.TrimSpace(string(text)))
		}
		fmt.Fprintf(&b, "%s: %s", k.Name, text)
	}
	if more != "" {
		b.WriteString("\n" + more)
	}
	return b.String()
}

// comment writes a text as comments of at most exampleWidth columns.
func comment(b *strings.Builder, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > exampleWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

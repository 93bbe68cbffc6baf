package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"text/template"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/serve/process"
)

// facts are what the lines to paste contain.
type facts struct {
	Front, Plain, Own string // host:port; Plain may be empty
	Host, Port        string // of Front
	What              string // what is simulated
	Password          string
	Thumbprint        string
	Admin             string
	Reader, Leaker    string
	Leak              string // how often the service account leaks; "": never
	Vigate            string // how to run vigate
}

// lines is what the program prints when it is ready, a template for facts. Each block that begins with # can be
// pasted into a shell as it is.
const lines = `vigate serves {{.What}}
  https://{{.Front}}        the inventory, with vigate's sessions
{{- if .Plain}}
  http://{{.Plain}}         the same without TLS
{{- end}}
  https://{{.Own}}        vigate's own API
  certificate SHA-256  {{.Thumbprint}}

Users, all with the password {{.Password}}
  {{.Admin}}  may do everything
  {{.Reader}}         may only read
  {{.Leaker}}       {{if .Leak}}logs in every {{.Leak}} and never logs out{{else}}a service account{{end}}

# govc
export GOVC_URL=https://{{.Front}}/sdk GOVC_INSECURE=true
export GOVC_USERNAME={{.Admin}} GOVC_PASSWORD='{{.Password}}'
govc find / -type m
govc session.ls

# pyVmomi
python3 - <<'END'
import ssl
from pyVim.connect import SmartConnect, Disconnect
from pyVmomi import vim
si = SmartConnect(host="{{.Host}}", port={{.Port}}, user="{{.Admin}}",
                  pwd="{{.Password}}", sslContext=ssl._create_unverified_context())
view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [vim.VirtualMachine], True)
print([vm.name for vm in view.view])
Disconnect(si)
END

# Terraform
cat > main.tf <<'END'
provider "vsphere" {
  vsphere_server       = "{{.Front}}"
  user                 = "{{.Admin}}"
  password             = "{{.Password}}"
  allow_unverified_ssl = true
}
END

# curl with VI JSON
api=https://{{.Front}}/sdk/vim25/8.0.1.0
token=$(curl -sk -D- -o /dev/null $api/SessionManager/SessionManager/Login \
  --json '{"userName":"{{.Admin}}","password":"{{.Password}}"}' |
  tr -d '\r' | sed -n 's/^vmware-api-session-id: //p')
curl -sk -H "vmware-api-session-id: $token" $api/ServiceInstance/ServiceInstance/content; echo

# vigate
export VIGATE_PASSWORD='{{.Password}}'
{{.Vigate}} session ls --url https://{{.Front}} --username {{.Admin}} --insecure
{{.Vigate}} upstream ls --url https://{{.Own}} --username {{.Admin}} --insecure

Press Ctrl-C to end it.
`

// announce prints the lines.
func (s *settings) announce(out io.Writer, server *lab.Server, password secret.Text) error {
	front := server.Front().String()
	host, port, err := net.SplitHostPort(front)
	if err != nil {
		return fmt.Errorf("split address: %w", err)
	}
	f := facts{
		Front: front, Own: server.Addr().String(), Host: host, Port: port, What: server.Inventory().String(),
		Password: password.Reveal(), Thumbprint: server.Thumbprint(),
		Admin: lab.Administrator, Reader: lab.Reader, Leaker: lab.Leaker, Vigate: "vigate",
	}
	if process.IsGoRun(os.Args[0]) {
		f.Vigate = "go run ./cmd/vigate"
	}
	if a := server.FrontPlainHTTP(); a != nil {
		f.Plain = a.String()
	}
	if s.leak > 0 {
		f.Leak = s.leak.String()
	}
	t, err := template.New("").Parse(lines)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	return t.Execute(out, f)
}

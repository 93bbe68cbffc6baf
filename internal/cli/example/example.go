// Package example has an example for each command that calls a server. The help of a command shows its
// example, and so does the page of all commands in the documents.
//
// [Add] adds the examples. A test of the program reads each line as the program would, so an example has no
// flag that its command does not have.
package example

import (
	"strings"

	"github.com/spf13/cobra"
)

// lines are the examples by command. A command whose own file has an example is not here.
var lines = map[string][]string{
	"about": {"vigate about --url https://vc.example"},
	"event ls": {
		"vigate event ls -n 100 --type BadUsernameSessionEvent",
		"vigate event ls --follow -o json",
	},
	"extension info": {"vigate extension info com.example.backup"},
	"extension ls":   {"vigate extension ls -o json"},
	"extension register": {
		"vigate extension register com.example.backup --company Example --certificate backup.pem",
	},
	"extension setcert":    {"vigate extension setcert com.example.backup new.pem"},
	"extension unregister": {"vigate extension unregister com.example.backup"},
	"login": {
		"vigate login --url https://vc.example --username ann@vsphere.local",
		`vigate login --username 'corp.example\svc-backup' --password-file /run/secrets/backup`,
		"vigate login --extension com.example.backup --cert backup.pem --key backup.key",
		"vigate login --token-file token.xml --cert ann.pem --key ann.key",
	},
	"logout":    {"vigate logout", "vigate logout --forget --url https://gone.example"},
	"node ls":   {"vigate node ls"},
	"option ls": {"vigate option ls", "vigate option ls vigate.lockout."},
	"option set": {
		"vigate option set config.vmacore.soap.sessionTimeout=60",
		"vigate option set config.vmacore.soap.sessionTimeout=",
	},
	"permission check": {
		"vigate permission check Sessions.TerminateSession --user ann@vsphere.local --exit-status",
	},
	"permission ls": {"vigate permission ls"},
	"permission rm": {"vigate permission rm ann@vsphere.local"},
	"permission set": {
		"vigate permission set ann@vsphere.local ReadOnly",
		`vigate permission set --group 'corp.example\operators' Admin`,
	},
	"role create":     {"vigate role create Operator Sessions.TerminateSession Sessions.GlobalMessage"},
	"role ls":         {"vigate role ls", "vigate role ls ReadOnly"},
	"role privileges": {"vigate role privileges"},
	"role rm":         {"vigate role rm Operator --force"},
	"role update":     {"vigate role update Operator --add Sessions.ImpersonateUser"},
	"session active": {
		"vigate session active 52f1a2b3-0000-4000-8000-000000000001 ann@vsphere.local --exit-status",
	},
	"session clone":          {"vigate session clone --ticket-file ticket"},
	"session clone-ticket":   {"vigate session clone-ticket | ssh host vigate login --clone-ticket-stdin"},
	"session impersonate":    {"vigate session impersonate ann@vsphere.local"},
	"session local-ticket":   {"vigate session local-ticket root --url unix:///run/vigate/vigate.sock"},
	"session locale":         {"vigate session locale", "vigate session locale de"},
	"session locales":        {"vigate session locales"},
	"session message":        {"vigate session message 'Maintenance at noon'", "vigate session message --clear"},
	"session service-ticket": {"vigate session service-ticket https://vc.example/folder/disk.vmdk --method GET"},
	"token issue": {
		"vigate token issue --username ann@vsphere.local --out token.xml",
		"vigate token issue --cert backup.pem --key backup.key --renewable --lifetime 24h --out token.xml",
		"vigate token issue --cert backup.pem --key backup.key --act-as token.xml --out acting.xml",
	},
	"token keys": {"vigate token keys", "vigate token keys --replace --distrust"},
	"token renew": {
		"vigate token renew token.xml --cert backup.pem --key backup.key --lifetime 24h --out token.xml",
	},
	"token show":    {"vigate token show token.xml"},
	"upstream ls":   {"vigate upstream ls"},
	"upstream show": {"vigate upstream show lab"},
	"upstream test": {"vigate upstream test lab"},
	"user add":      {"vigate user add ann --full-name 'Ann Example'"},
	"user disable":  {"vigate user disable ann"},
	"user enable":   {"vigate user enable ann"},
	"user ls":       {"vigate user ls", "vigate user ls ann --domain corp.example"},
	"user passwd":   {"vigate user passwd ann", "vigate user passwd --new-password-file password"},
	"user rm":       {"vigate user rm ann"},
	"user unlock":   {"vigate user unlock ann@vsphere.local"},
	"whoami":        {"vigate whoami -o json"},
}

// Add adds the examples to the commands below root.
func Add(root *cobra.Command) {
	for path, all := range lines {
		cmd, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 {
			panic("there is no command " + path + " for an example")
		}
		cmd.Example = "  " + strings.Join(all, "\n  ")
	}
}

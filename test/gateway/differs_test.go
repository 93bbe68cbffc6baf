package gateway

import (
	"slices"

	"github.com/vigate/vigate/internal/lab"
)

// difference is what a line of a table prints through a front, where that is not what it prints without one.
type difference struct {
	kinds    []lab.Kind
	line     string // as it is in the table
	ways     []way
	from, to string // a regular expression, and what stands for each match through the front
	why      string
	used     map[way]bool
}

var (
	both    = []lab.Kind{lab.VCenter, lab.ESXi}
	vcenter = []lab.Kind{lab.VCenter}
	esxi    = []lab.Kind{lab.ESXi}
	anyWay  = []way{overSOAP, overJSON}
	asJSON  = []way{overJSON}
)

// Reasons of several differences.
const (
	unpublished = "The method is not part of the published API, and VI JSON has no others."
	emptyLists  = "An empty list is [] in VI JSON. From SOAP, govc makes null of it."
	ownUser     = "The session is one of the front, with its user."
	ownTickets  = "A clone ticket is the front's, and has the form of a vCenter's. The simulator's is a bare UUID."
	ownSessions = "Sessions of the Automation API are the front's own, whatever the upstream has."
)

// emptyList is the form of an empty list of a managed object in what govc prints of an answer over SOAP.
const emptyList = `"(value|availableField|customValue|configIssue|permission|disabledMethod|recentTask|` +
	`declaredAlarmState|triggeredAlarmState|tag|childConfiguration|vm|network|host|datastore|resourcePool|` +
	`rootSnapshot)": null`

// differencesOf returns the differences for one kind of server.
func differencesOf(kind lab.Kind) []*difference {
	var some []*difference
	for _, d := range differences {
		if slices.Contains(d.kinds, kind) {
			d.used = map[way]bool{}
			some = append(some, &d)
		}
	}
	return some
}

var differences = []difference{
	{
		kinds: esxi, line: "vm.info -json ha-host_VM0", ways: asJSON, from: emptyList, to: `"$1": []`, why: emptyLists,
	},
	{kinds: esxi, line: "host.info -json", ways: asJSON, from: emptyList, to: `"$1": []`, why: emptyLists},
	{
		kinds: esxi, line: "collect -o -json HostSystem:ha-host", ways: asJSON, from: emptyList, to: `"$1": []`,
		why: emptyLists,
	},
	{kinds: vcenter, line: "ls -json /DC0/host/DC0_C0", ways: asJSON, from: emptyList, to: `"$1": []`, why: emptyLists},
	{
		kinds: vcenter, line: "datacenter.info -json tmp-dc", ways: asJSON, from: emptyList, to: `"$1": []`,
		why: emptyLists,
	},
	{
		kinds: vcenter, line: "collect -o -json /DC0/vm/DC0_C0_RP0_VM0", ways: asJSON, from: emptyList, to: `"$1": []`,
		why: emptyLists,
	},
	{kinds: vcenter, line: "vm.info -json DC0_H0_VM0", ways: asJSON, from: emptyList, to: `"$1": []`, why: emptyLists},
	{kinds: vcenter, line: "datastore.info -json", ways: asJSON, from: emptyList, to: `"$1": []`, why: emptyLists},
	{
		kinds: vcenter, line: "host.info -json -host DC0_H0", ways: asJSON, from: emptyList, to: `"$1": []`,
		why: emptyLists,
	},
	{
		kinds: vcenter, line: "collect -s SessionManager:SessionManager defaultLocale", ways: anyWay,
		from: `(?s).*`,
		to: "exit code 1\n\ngovc: ServerFaultCode: The operation is not supported: a filter on a front " +
			"can't report properties of SessionManager; retrieve them instead\n",
		why: "The upstream can't report changes of the front's sessions.",
	},
	{
		kinds: vcenter, line: "collect -o -json -s SessionManager:SessionManager defaultLocale message", ways: anyWay,
		from: `(?s)"message": null(.*)"defaultLocale": ""`, to: `"message": ""$1"defaultLocale": "en"`,
		why: "The SessionManager is the front's.",
	},
	{
		kinds: vcenter, line: "option.ls config.vpxd.", ways: anyWay, from: `SERVER/sso-adminserver`,
		to:  `UPSTREAM/sso-adminserver`,
		why: "A front does not serve this path, so its URLs stay those of the upstream.",
	},
	{kinds: both, line: "session.ls -S", ways: anyWay, from: `vigate`, to: `VSPHERE.LOCAL\Administrator`, why: ownUser},
	{
		kinds: vcenter, line: "session.ls -r", ways: anyWay, from: `(?m)^ ?UUID2 vigate \(REST\) (.*)$`,
		to: "UUID2 VSPHERE.LOCAL\\Administrator TIME DURATION 127.0.0.1 govc/0.0.0 \n" +
			"TOKEN Administrator@VSPHERE.LOCAL (REST) $1",
		why: "Sessions of the Automation API are sessions of the front, in the same list. A token is not a key.",
	},
	{
		kinds: vcenter, line: "session.ls -r", ways: anyWay, from: `UUID1 vigate`,
		to: `UUID1 VSPHERE.LOCAL\Administrator`, why: ownUser,
	},
	{
		kinds: vcenter, line: "vm.console DC0_H0_VM0", ways: anyWay, from: `clone:UUID1@`, to: `clone:TICKET@`,
		why: ownTickets,
	},
	{
		kinds: esxi, line: "vm.console ha-host_VM0", ways: anyWay, from: `clone:UUID1@`, to: `clone:TICKET@`,
		why: ownTickets,
	},
	{
		kinds: vcenter, line: "sso.user.ls", ways: anyWay, from: `(?s).*`,
		to:  "exit code 1\n\ngovc: ServerFaultCode: NotAuthenticated\n",
		why: "Single sign-on is administered at the vCenter: its service has sessions of its own, with its own users.",
	},
	{
		kinds: both, line: "! session.rm 00000000-0000-4000-8000-000000000000", ways: anyWay, from: `NotFound`,
		to:  `The object or item referred to could not be found.`,
		why: "The fault is the front's, and has a text. The simulator's has none.",
	},
	{
		kinds: esxi, line: "! tags.ls", ways: anyWay, from: `govc: POST https://SERVER/rest/com/vmware/cis/session`,
		to: `govc: get tags failed for: GET https://SERVER/rest/com/vmware/cis/tagging/tag`, why: ownSessions,
	},
	{
		kinds: esxi, line: "! library.ls", ways: anyWay, from: `govc: POST https://SERVER/rest/com/vmware/cis/session`,
		to: `govc: get libraries failed for: GET https://SERVER/rest/com/vmware/content/library`, why: ownSessions,
	},
	{
		kinds: esxi, line: "host.esxcli software vib list", ways: asJSON, from: `(?s).*`,
		to: "exit code 1\n\ngovc: ServerFaultCode: The method does not exist.\n", why: unpublished,
	},
	{
		kinds: esxi, line: "firewall.ruleset.find -direction inbound -port 22", ways: asJSON, from: `(?s).*`,
		to: "exit code 1\n\ngovc: ServerFaultCode: The method does not exist.\n", why: unpublished,
	},
	{
		kinds: vcenter, line: "host.esxcli -host DC0_H0 software vib list", ways: asJSON, from: `(?s).*`,
		to: "exit code 1\n\ngovc: ServerFaultCode: The method does not exist.\n", why: unpublished,
	},
	{
		kinds: vcenter, line: "datastore.disk.info -ds LocalDS_0 plain.vmdk", ways: asJSON, from: `(?s).*`,
		to: "exit code 1\n\ngovc: ServerFaultCode: The method does not exist.\n", why: unpublished,
	},
	{
		kinds: vcenter, ways: asJSON,
		line: "! object.method -enable=false -name MigrateVM_Task -reason test /DC0/vm/DC0_H0_VM0",
		from: `govc: .*`,
		to: "govc: Cannot get pointer to the result structure. Expected method response body field to be " +
			"pointer to struct. Invalid input error",
		why: "govc can't send this method as VI JSON.",
	},
}

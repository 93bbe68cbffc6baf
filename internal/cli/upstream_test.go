package cli

import (
	"strings"
	"testing"
)

const upstreamsJSON = `[{"_typeName":"VigateUpstream","name":"lab","url":"https://vc1.example/sdk","mode":"shared",` +
	`"available":true,"since":"2025-01-02T03:00:00Z","apiType":"VirtualCenter","version":"8.0.3","build":"24022515",` +
	`"maxSessions":10,"maxRequests":64,"maxWaits":400,"places":3,"ghostSessions":1,"requests":5,"waits":2,"queued":4,` +
	`"queuedWaits":1,"account":[{"_typeName":"VigateUpstreamAccount","name":"ci","userName":"svc-ci@vsphere.local",` +
	`"passThrough":false,"sessionCount":2,"error":"the upstream refuses the password",` +
	`"nextLogin":"2025-01-02T04:09:00Z"}],` +
	`"session":[{"_typeName":"VigateUpstreamSession","id":"ci/1","account":"ci","locale":"en","requests":4,"owned":7,` +
	`"loginTime":"2025-01-02T03:30:05Z","lastUsed":"2025-01-02T04:07:00Z","ending":true}],` +
	`"loginCount":12,"failedLoginCount":3,"lostSessionCount":2,"refusedCount":9,"requestCount":123456},` +
	`{"_typeName":"VigateUpstream","name":"esx\u001b","url":"https://esx1.example/sdk","mode":"private",` +
	`"available":false,"error":"connection refused","maxSessions":2,"maxRequests":8,"maxWaits":8,"places":0,` +
	`"ghostSessions":0,"requests":0,"waits":0,"queued":0,"queuedWaits":0,"loginCount":0,"failedLoginCount":0,` +
	`"lostSessionCount":0,"refusedCount":0,"requestCount":0}]`

func TestUpstreamsAreShownWithTheirSessionsAndAccounts(t *testing.T) {
	s := startServer(t, map[string]string{"GET UpstreamManager.upstreams": upstreamsJSON})
	sh := newShell(t, s)
	out := sh.must("upstream", "ls")
	for _, want := range []string{
		"NAME  STATE  VERSION              SESSIONS  REQUESTS  WAITS  QUEUED  URL",
		"lab   ok     VirtualCenter 8.0.3  3/10      5/64      2/400  5       https://vc1.example/sdk",
		"DOWN   unknown              0/2       0/8       0/8    0       https://esx1.example/sdk",
	} {
		contains(t, out, want)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a name controls the terminal")
	}
	out = sh.must("upstream", "show", "lab")
	for _, want := range []string{
		"Mode:             shared\n", "Sessions:         3/10\n", "Lost track of:    1\n", "Lost sessions:    2\n",
		"ci       svc-ci@vsphere.local  2         2025-01-02T04:09:00Z  the upstream refuses the password\n",
		"ci/1     ci       en      2025-01-02T03:30:05Z  ", "  4         7      yes\n",
	} {
		contains(t, out, want)
	}
	contains(t, sh.must("upstream", "show", "esx\x1b"), "Error:            connection refused\n")
	contains(t, sh.must("upstream", "show", "lab", "-o", "json"), `"userName": "svc-ci@vsphere.local"`)
	contains(t, sh.must("upstream", "ls", "-o", "json"), `"name": "lab"`)
	contains(t, sh.fails(5, "upstream", "show", "other"), `there is no upstream "other"`)
	contains(t, sh.must("__complete", "upstream", "show", ""), "lab\thttps://vc1.example/sdk\n")
}

func TestATestOfAnUpstreamFailsIfOneOfItsFindingsDoes(t *testing.T) {
	const good = `{"_typeName":"VigateUpstreamFinding","subject":"version","found":"VMware vCenter Server 8.0.3"}`
	const bad = `{"_typeName":"VigateUpstreamFinding","subject":"account ci","error":"refused"}`
	s := startServer(t, map[string]string{"POST UpstreamManager.TestUpstream": "[" + good + "]"})
	sh := newShell(t, s)
	contains(t, sh.must("upstream", "test", "lab"), "version:  VMware vCenter Server 8.0.3\n")
	contains(t, strings.Join(s.calls, "\n"), `TestUpstream {"name":"lab"}`)

	s.answers["POST UpstreamManager.TestUpstream"] = "[" + good + "," + bad + "]"
	out := sh.fails(1, "upstream", "test", "lab")
	contains(t, out, `1 of the tests of upstream "lab" failed`)
	s.answers["POST UpstreamManager.TestUpstream"] = `fault {"_typeName":"NotFound","faultstring":"Not found."}`
	contains(t, sh.fails(5, "upstream", "test", "other"), `there is no upstream "other"`)
}

func TestAServerWithoutUpstreamsIsExplained(t *testing.T) {
	for _, body := range []string{
		`{"_typeName":"InvalidType","faultstring":"no such type"}`,
		`{"_typeName":"ManagedObjectNotFound","faultstring":"gone","obj":` + ref("UpstreamManager", "upstreams") + `}`,
	} {
		s := startServer(t, map[string]string{
			"GET UpstreamManager.upstreams": "fault " + body, "POST UpstreamManager.TestUpstream": "fault " + body,
		})
		for _, args := range [][]string{{"ls"}, {"show", "lab"}, {"test", "lab"}} {
			contains(t, newShell(t, s).fails(5, append([]string{"upstream"}, args...)...), "has no upstreams")
		}
	}
}

func TestTheSessionsOfAFrontAreShownWithWhatServesThem(t *testing.T) {
	const clients = `[{"_typeName":"VigateUpstreamClient","upstream":"lab","account":"ci","session":"ci/1",` +
		`"key":"k2"},{"_typeName":"VigateUpstreamClient","upstream":"lab","account":"ops","key":"` + ownKey + `"}]`
	s := startServer(t, map[string]string{
		"GET SessionManager.sessionList": "[" + sessionJSON("k2", "bob") + "," + sessionJSON(ownKey, "adm") + "]",
		"GET UpstreamManager.clients":    clients,
	})
	sh := newShell(t, s)
	out := strings.Join(strings.Fields(sh.must("session", "ls")), " ")
	for _, want := range []string{"USER ACCOUNT UPSTREAM SESSION ADDRESS", "k2 bob ci ci/1 ", ownKey + " adm ops - "} {
		contains(t, out, want)
	}
	contains(t, sh.must("session", "ls", "-o", "json"), "\n    \"key\": \"k2\"", "\n    \"upstreamSession\": \"ci/1\"")
	delete(s.answers, "GET UpstreamManager.clients")
	if out := sh.must("session", "ls"); strings.Contains(out, "ACCOUNT") {
		t.Error(out)
	}
}

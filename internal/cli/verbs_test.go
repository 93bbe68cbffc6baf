package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func ref(typ, id string) string {
	return `{"_typeName":"ManagedObjectReference","type":"` + typ + `","value":"` + id + `"}`
}

const (
	rolesJSON = `[{"_typeName":"AuthorizationRole","roleId":-1,"system":true,"name":"Admin",` +
		`"info":{"_typeName":"Description","label":"Administrator","summary":"all"},"privilege":["System.View",` +
		`"Sessions.TerminateSession"]},` +
		`{"_typeName":"AuthorizationRole","roleId":7,"system":false,"name":"ops","info":{"_typeName":"Description",` +
		`"label":"ops","summary":"ops"},"privilege":["System.View"]}]`
	usersJSON = `[{"_typeName":"UserSearchResult","principal":"a","fullName":"A","group":false},` +
		`{"_typeName":"UserSearchResult","principal":"b","fullName":"B","group":false}]`
	nodesJSON = `[{"_typeName":"VigateNode","key":"k1","name":"a\u001b","self":true,` +
		`"address":["https://192.0.2.1:443","http://192.0.2.1:80"],"version":"1.2",` +
		`"startTime":"2025-01-02T03:03:05Z","reportTime":"2025-01-02T04:07:00Z","sessionCount":7,"lagMillis":12},` +
		`{"_typeName":"VigateNode","key":"k2","name":"b","self":false,"version":"1.3",` +
		`"startTime":"2025-01-02T04:03:00Z","reportTime":"2025-01-02T04:07:04Z","sessionCount":6}]`
	eventsJSON = `[{"_typeName":"EventEx","key":3,"chainId":3,"createdTime":"2025-01-02T03:00:02Z","userName":"b",` +
		`"fullFormattedMessage":"third","eventTypeId":"vigate.third"},` +
		`{"_typeName":"UserLoginSessionEvent","key":2,"chainId":2,"createdTime":"2025-01-02T03:00:01Z",` +
		`"userName":"a","fullFormattedMessage":"second","ipAddress":"::1","locale":"en","sessionId":"x"}]`
)

// TestEachVerbCallsItsOperation runs each command against a fixed response of its operation. It
// checks the request and the output.
func TestEachVerbCallsItsOperation(t *testing.T) {
	pem := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(pem, []byte("-----BEGIN CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args    string
		answers map[string]string
		stdin   string
		sent    string // text that one of the calls must contain
		shown   string
	}{
		{"session ls", map[string]string{"GET SessionManager.sessionList": "[" + sessionJSON("k2", "bob") + "," +
			sessionJSON(ownKey, "adm") + "]"}, "",
			"GET SessionManager.sessionList", "*  " + ownKey + "  adm"},
		{"session ls -o json", map[string]string{"GET SessionManager.sessionList": "[]"}, "",
			"GET SessionManager.sessionList", "[]\n"},
		{"session rm k1 k2", map[string]string{"POST SessionManager.TerminateSession": ""}, "",
			`TerminateSession {"sessionId":["k2"]}`, ""},
		{"session active k1 bob", map[string]string{"POST SessionManager.SessionIsActive": "true"}, "",
			`SessionIsActive {"sessionID":"k1","userName":"bob"}`, "true\n"},
		{"session impersonate bob --locale de",
			map[string]string{"POST SessionManager.ImpersonateUser": sessionJSON(ownKey, "bob")}, "",
			`ImpersonateUser {"userName":"bob","locale":"de"}`, "bob"},
		{"session locale", nil, "", "GET SessionManager.currentSession", "en"},
		{"session locale de", map[string]string{"POST SessionManager.SetLocale": ""}, "", `SetLocale {"locale":"de"}`,
			""},
		{"session locales", map[string]string{"GET SessionManager.defaultLocale": `"en"`,
			"GET SessionManager.supportedLocaleList": `["en","de","fi"]`,
			"GET SessionManager.messageLocaleList":   `["en","de"]`}, "",
			"GET SessionManager.defaultLocale", "en de fi"},
		{"session message maintenance", map[string]string{"POST SessionManager.UpdateServiceMessage": ""}, "",
			`UpdateServiceMessage {"message":"maintenance"}`, ""},
		{"session message --file -", map[string]string{"POST SessionManager.UpdateServiceMessage": ""}, "two\nlines\n",
			`{"message":"two\nlines"}`, ""},
		{"session message --clear", map[string]string{"POST SessionManager.UpdateServiceMessage": ""}, "",
			`{"message":""}`, ""},
		{"session service-ticket https://h/x --method get",
			map[string]string{"POST SessionManager.AcquireGenericServiceTicket": `{"_typeName":` +
				`"SessionManagerGenericServiceTicket","id":"t-1","ticketType":"http"}`}, "",
			`"method":"httpGet","url":"https://h/x"`, "t-1"},
		{"session service-ticket --vmomi cloneSession",
			map[string]string{"POST SessionManager.AcquireGenericServiceTicket": `{"_typeName":` +
				`"SessionManagerGenericServiceTicket","id":"t-1"}`}, "",
			`"_typeName":"SessionManagerVmomiServiceRequestSpec","method":"cloneSession"`, "t-1"},
		{"session local-ticket root",
			map[string]string{"POST SessionManager.AcquireLocalTicket": `{"_typeName":"SessionManagerLocalTicket",` +
				`"userName":"root","passwordFilePath":"/run/p"}`}, "", `{"userName":"root"}`, "/run/p"},
		{"node ls", map[string]string{"GET VigateCluster.nodes": nodesJSON}, "", "GET VigateCluster.nodes",
			"*  a\ufffd    k1   1.2      1h4m  5s    12ms     7         https://192.0.2.1:443 http://192.0.2.1:80\n" +
				"   b     k2   1.3      4m5s  1s    unknown  6\n"},
		{"node ls -o json", map[string]string{"GET VigateCluster.nodes": nodesJSON}, "", "GET VigateCluster.nodes",
			`"lagMillis": 12`},
		{"about", nil, "", "GET ServiceInstance.content", "fake 1.0"},
		{"user ls adm", map[string]string{"POST UserDirectory.RetrieveUserGroups": `[{"_typeName":"UserSearchResult",` +
			`"principal":"VSPHERE.LOCAL\\adm","fullName":"A","group":false}]`}, "",
			`"searchStr":"adm","exactMatch":false,"findUsers":true,"findGroups":false`, `VSPHERE.LOCAL\adm  -      A`},
		{"user ls --domain corp", map[string]string{"POST UserDirectory.RetrieveUserGroups": usersJSON,
			"POST HostLocalAccountManager.RetrieveUserStates": `[{"_typeName":"VigateUserState","userName":"a",` +
				`"disabled":false,"locked":false},{"_typeName":"VigateUserState","userName":"b","disabled":true,` +
				`"locked":true}]`}, "", `RetrieveUserStates {"userName":["corp\\a","corp\\b"]}`,
			"a          ok                A\nb          disabled, locked  B\n"},
		{"user ls", map[string]string{"POST UserDirectory.RetrieveUserGroups": usersJSON,
			"GET UserDirectory.domainList":                    `["here","corp"]`,
			"POST HostLocalAccountManager.RetrieveUserStates": "[]"}, "",
			`RetrieveUserStates {"userName":["here\\a","here\\b"]}`, "a          -      A\n"},
		{"user ls", map[string]string{"POST UserDirectory.RetrieveUserGroups": usersJSON,
			"POST HostLocalAccountManager.RetrieveUserStates": `fault {"_typeName":"NoPermission"}`}, "",
			`RetrieveUserStates {"userName":["a","b"]}`, "a          -      A\n"},
		{"user ls -o json", map[string]string{"POST UserDirectory.RetrieveUserGroups": "[]"}, "", "", "[]\n"},
		{"user add bob --full-name Bob --new-password-file -",
			map[string]string{"POST HostLocalAccountManager.CreateUser": ""}, "s3cret word\n",
			`"id":"bob","password":"s3cret word","description":"Bob"`, ""},
		{"user passwd bob --new-password-file -", map[string]string{"POST HostLocalAccountManager.UpdateUser": ""},
			"s3cret word\n", `"id":"bob","password":"s3cret word"`, ""},
		{"user passwd --new-password-file -", map[string]string{"POST HostLocalAccountManager.UpdateUser": ""}, "x y",
			`"id":"VSPHERE.LOCAL\\Administrator","password":"x y"`, ""},
		{"user rm a b", map[string]string{"POST HostLocalAccountManager.RemoveUser": ""}, "",
			`RemoveUser {"userName":"b"}`, ""},
		{"user disable a", map[string]string{"POST HostLocalAccountManager.DisableUser": ""}, "",
			`DisableUser {"userName":"a"}`, ""},
		{"user enable a", map[string]string{"POST HostLocalAccountManager.EnableUser": ""}, "",
			`EnableUser {"userName":"a"}`, ""},
		{"user unlock a", map[string]string{"POST HostLocalAccountManager.UnlockUser": ""}, "",
			`UnlockUser {"userName":"a"}`, ""},
		{"role ls", map[string]string{"GET AuthorizationManager.roleList": rolesJSON}, "", "", "7   ops    no      1"},
		{"role ls ops", map[string]string{"GET AuthorizationManager.roleList": rolesJSON}, "", "", "System.View\n"},
		{"role create ops2 System.View", map[string]string{"POST AuthorizationManager.AddAuthorizationRole": "8"}, "",
			`{"name":"ops2","privIds":["System.View"]}`, "8\n"},
		{"role update OPS --add Sessions.GlobalMessage --rename ops3",
			map[string]string{"GET AuthorizationManager.roleList": rolesJSON,
				"POST AuthorizationManager.UpdateAuthorizationRole": ""}, "",
			`{"roleId":7,"newName":"ops3","privIds":["Sessions.GlobalMessage","System.View"]}`, ""},
		{"role rm ops", map[string]string{"GET AuthorizationManager.roleList": rolesJSON,
			"POST AuthorizationManager.RemoveAuthorizationRole": ""}, "", `{"roleId":7,"failIfUsed":true}`, ""},
		{"role privileges",
			map[string]string{"GET AuthorizationManager.privilegeList": `[{"_typeName":"AuthorizationPrivilege",` +
				`"privId":"System.View","onParent":false,"name":"View","privGroupName":"System"}]`}, "", "",
			"System.View\n"},
		{"permission ls", map[string]string{"GET AuthorizationManager.roleList": rolesJSON,
			"POST AuthorizationManager.RetrieveAllPermissions": `[{"_typeName":"Permission","entity":` +
				ref("Folder", "group-d1") + `,"principal":"D\\bob","group":false,"roleId":7,"propagate":true}]`}, "",
			"", `D\bob      user  ops   group-d1  yes`},
		{"permission set bob ops", map[string]string{"GET AuthorizationManager.roleList": rolesJSON,
			"POST AuthorizationManager.SetEntityPermissions": ""}, "",
			`"principal":"bob","group":false,"roleId":7,"propagate":true`, ""},
		{"permission rm bob --group", map[string]string{"POST AuthorizationManager.RemoveEntityPermission": ""}, "",
			`"user":"bob","isGroup":true`, ""},
		{"permission check A B", map[string]string{"POST AuthorizationManager.HasPrivilegeOnEntity": "[true,false]"},
			"", `"sessionId":"` + ownKey + `","privId":["A","B"]`, "B          no"},
		{"permission check A --user bob",
			map[string]string{"POST AuthorizationManager.HasUserPrivilegeOnEntities": `[{"_typeName":` +
				`"EntityPrivilege","entity":` + ref("Folder", "group-d1") +
				`,"privAvailability":[{"_typeName":"PrivilegeAvailability","privId":"A","isGranted":true}]}]`}, "",
			`"userName":"bob","privId":["A"]`, "A          yes"},
		{"permission check --user bob",
			map[string]string{"POST AuthorizationManager.FetchUserPrivilegeOnEntities": `[{"_typeName":` +
				`"UserPrivilegeResult","entity":` + ref("Folder", "group-d1") + `,"privileges":["A"]}]`}, "",
			`"userName":"bob"`, "A          yes"},
		{"extension ls",
			map[string]string{"GET ExtensionManager.extensionList": `[{"_typeName":"Extension",` +
				`"description":{"_typeName":"Description","label":"X","summary":"x"},"key":"com.x","version":"1",` +
				`"subjectName":"CN=x","lastHeartbeatTime":"2025-01-02T03:04:05Z"}]`}, "", "",
			"com.x  1                 CN=x          X"},
		{"extension info com.x",
			map[string]string{"POST ExtensionManager.FindExtension": `{"_typeName":"Extension",` +
				`"description":{"_typeName":"Description","label":"X","summary":"x"},"key":"com.x","version":"1",` +
				`"lastHeartbeatTime":"2025-01-02T03:04:05Z"}`}, "", `{"extensionKey":"com.x"}`, "2025-01-02T03:04:05Z"},
		{"extension register com.x --subject-name CN=x --certificate " + pem,
			map[string]string{"POST ExtensionManager.RegisterExtension": "",
				"POST ExtensionManager.SetExtensionCertificate": ""}, "",
			`"certificatePem":"-----BEGIN CERTIFICATE-----\n"`, ""},
		{"extension setcert com.x " + pem, map[string]string{"POST ExtensionManager.SetExtensionCertificate": ""}, "",
			`"extensionKey":"com.x"`, ""},
		{"extension unregister com.x", map[string]string{"POST ExtensionManager.UnregisterExtension": ""}, "",
			`{"extensionKey":"com.x"}`, ""},
		{"event ls -n 5 --user bob --type UserLoginSessionEvent",
			map[string]string{"POST EventManager.QueryEvents": eventsJSON}, "",
			`"eventTypeId":["vim.event.UserLoginSessionEvent"],"maxCount":5`, "second\n2025-01-02T03:00:02Z"},
		{"option ls", map[string]string{"POST OptionManager.QueryOptions": `[{"_typeName":"OptionValue","key":"a.b",` +
			`"value":{"_typeName":"int","_value":30}}]`}, "", "", "a.b   30"},
		{"option set a.b=45",
			map[string]string{"POST OptionManager.QueryOptions": `[{"_typeName":"OptionValue","key":"a.b",` +
				`"value":{"_typeName":"int","_value":30}}]`, "POST OptionManager.UpdateOptions": ""}, "",
			`"key":"a.b","value":{"_typeName":"int","_value":45}`, ""},
		{"token keys", map[string]string{"GET VigateTokenService.signingKeys": "[" + signingKeyJSON + "]"}, "",
			"GET VigateTokenService.signingKeys",
			"7    trusted  2026-03-04T05:06:07Z  2026-05-04T05:06:07Z  0a0b"},
		{"token keys --replace", map[string]string{"POST VigateTokenService.ReplaceSigningKey": signingKeyJSON}, "",
			`ReplaceSigningKey {"distrust":false}`, "0a0b"},
		{"token keys --replace --distrust -o json",
			map[string]string{"POST VigateTokenService.ReplaceSigningKey": signingKeyJSON}, "",
			`ReplaceSigningKey {"distrust":true}`, `"thumbprint": "0a0b"`},
		{"option set a.b=90s",
			map[string]string{"POST OptionManager.QueryOptions": `[{"_typeName":"OptionValue","key":"a.b",` +
				`"value":{"_typeName":"int","_value":30}}]`, "POST OptionManager.UpdateOptions": ""}, "",
			`"key":"a.b","value":{"_typeName":"string","_value":"90s"}`, ""},
	}
	for _, tc := range tests {
		t.Run(tc.args, func(t *testing.T) {
			s := startServer(t, tc.answers)
			sh := newShell(t, s)
			r := sh.runIn(t.Context(), tc.stdin, strings.Fields(tc.args)...)
			if r.code != 0 || r.err != "" {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			contains(t, strings.Join(append(s.got("POST"), s.got("GET")...), "\n"), tc.sent)
			contains(t, r.out, tc.shown)
			if tc.shown == "" && r.out != "" {
				t.Errorf("shown: %q", r.out)
			}
			if strings.Contains(r.out, "\x1b") {
				t.Errorf("an escape sequence reached the terminal: %q", r.out)
			}
		})
	}
}

func TestTheExitCodeSaysWhatWentWrong(t *testing.T) {
	noPermission := `fault {"_typeName":"NoPermission","faultstring":"Permission to perform this operation was ` +
		`denied.","privilegeId":"Sessions.TerminateSession"}`
	notFound := `fault {"_typeName":"NotFound","faultstring":"The object or item referred to could not be found."}`
	for _, tc := range []struct {
		args    string
		answers map[string]string
		code    int
		text    string
	}{
		{"session ls", map[string]string{"GET SessionManager.sessionList": noPermission}, 4,
			"needs Sessions.TerminateSession"},
		{"session rm k1 k2", map[string]string{"POST SessionManager.TerminateSession": notFound}, 5,
			"k1: SessionManager.TerminateSession: The object or item"},
		{"session impersonate bob",
			map[string]string{"POST SessionManager.ImpersonateUser": `fault {"_typeName":"InvalidLogin",` +
				`"faultstring":"Cannot complete login."}`}, 3, "must have a live session"},
		{"session active k bob --exit-status", map[string]string{"POST SessionManager.SessionIsActive": "false"}, 5,
			"no live session"},
		{"permission check A --exit-status",
			map[string]string{"POST AuthorizationManager.HasPrivilegeOnEntity": "[false]"}, 4, "not all"},
		{"extension info com.x", map[string]string{"POST ExtensionManager.FindExtension": ""}, 5, "no extension"},
		{"role rm nothing", map[string]string{"GET AuthorizationManager.roleList": rolesJSON}, 5, "no role"},
		{"session message x", map[string]string{"POST SessionManager.UpdateServiceMessage": "503"}, 6,
			"try again in 1m0s"},
		{"session message x", nil, 1, "no answer to POST SessionManager.UpdateServiceMessage"},
		{"session", nil, 2, "needs a subcommand"},
		{"session lss", nil, 2, "did you mean 'ls'?"},
		{"sesion", nil, 2, "did you mean 'session'?"},
		{"session rm", nil, 2, "vigate session rm [KEY…]"},
		{"session active k", nil, 2, "vigate session active KEY USER"},
		{"session ls --nonsense", nil, 2, "unknown flag: --nonsense"},
		{"session ls -o yaml", nil, 2, "table, json, wide, csv or keys"},
		{"user ls -o wide", nil, 2, "table or json"},
		{"session service-ticket", nil, 2, "--vmomi"},
		{"role update ops", nil, 2, "nothing to change"},
		{"login --local --extension x", nil, 2, "more than one way"},
		{"event ls -n 0", nil, 2, "from 1 to 1000"},
		{"option set novalue", nil, 2, "NAME=VALUE"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			sh := newShell(t, startServer(t, tc.answers))
			contains(t, sh.fails(tc.code, strings.Fields(tc.args)...), tc.text)
		})
	}
}

func TestAFailureForOneNameDoesNotStopTheOthers(t *testing.T) {
	s := startServer(t,
		map[string]string{"POST SessionManager.TerminateSession": `fault {"_typeName":"NotFound","faultstring":"not ` +
			`there"}`})
	sh := newShell(t, s)
	sh.must("login")
	contains(t, sh.fails(5, "session", "rm", "k1", "k2"), "k1: ", "; k2: ")
	if n := len(s.got("POST SessionManager.TerminateSession")); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestAnUntrustedCertificateIsExplained(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	delete(sh.env, "VIGATE_INSECURE")
	contains(t, sh.fails(6, "about"), s.thumbprint(), "--thumbprint", "--ca", "--insecure")
	sh.must("about", "--thumbprint", s.thumbprint())
	sh.must("about", "--ca", s.caFile(t))
	sh.must("about", "-k")
	contains(t, sh.fails(6, "about", "--thumbprint", strings.Repeat("00", 32)),
		"is not the one with the given thumbprint")
	sh.env["VIGATE_THUMBPRINT"] = s.thumbprint()
	sh.must("about")
}

func TestAnUnreachableServerIsExplained(t *testing.T) {
	s := startServer(t, nil)
	sh := newShell(t, s)
	s.Close()
	contains(t, sh.fails(6, "about"), "can't reach "+s.URL, "connection refused")
}

func TestEventsAreFollowedUntilInterrupted(t *testing.T) {
	collector := ref("EventHistoryCollector", "c-1")
	s := startServer(t, map[string]string{
		"POST EventManager.CreateCollectorForEvents":      collector,
		"POST EventHistoryCollector.SetCollectorPageSize": "",
		"POST EventHistoryCollector.ResetCollector":       "",
		"POST EventHistoryCollector.DestroyCollector":     "",
		"POST EventHistoryCollector.ReadNextEvents": "[" +
			strings.TrimSuffix(strings.SplitN(eventsJSON, "},{", 2)[0], "[")[1:] + "}]",
	})
	sh := newShell(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	shown := &notify{at: "third", done: cancel}
	root := &cobra.Command{Use: "vigate"}
	AddTo(root, Host{LookupEnv: func(name string) (string, bool) { v, ok := sh.env[name]; return v, ok }})
	root.SetOut(shown)
	root.SetErr(shown)
	if code := Execute(ctx, root, []string{"event", "ls", "-f", "-n", "7", "-o", "json"}); code != 0 {
		t.Errorf("exit %d: %s", code, shown.text)
	}
	var event struct {
		Type string `json:"_typeName"`
		Key  int    `json:"key"`
	}
	if err := json.Unmarshal([]byte(shown.text), &event); err != nil || event.Type != "EventEx" || event.Key != 3 {
		t.Errorf("not one event on one line: %v: %s", err, shown.text)
	}
	contains(t, fmt.Sprint(s.got("POST EventHistoryCollector.SetCollectorPageSize")), `{"maxCount":7}`)
	if len(s.got("POST EventHistoryCollector.DestroyCollector")) != 1 {
		t.Error("the collector was not destroyed")
	}
}

// notify calls done when the given text has been written.
type notify struct {
	at, text string
	done     func()
}

func (n *notify) Write(p []byte) (int, error) {
	n.text += string(p)
	if strings.Contains(n.text, n.at) {
		n.done()
	}
	return len(p), nil
}

func TestCompletionsUseOnlyTheSavedSession(t *testing.T) {
	s := startServer(t, map[string]string{"GET SessionManager.sessionList": "[" + sessionJSON("k1", "bob") + "," +
		sessionJSON("k2", "eve") + "]"})
	sh := newShell(t, s)
	if out := sh.must("__complete", "session", "rm", ""); strings.Contains(out, "k1") || s.logins() != 0 {
		t.Errorf("a completion logged in: %s", out)
	}
	sh.must("login")
	out := sh.must("__complete", "session", "rm", "k1", "")
	if strings.Contains(out, "k1") || !strings.Contains(out, "k2\teve 192.0.2.1") {
		t.Errorf("completions: %s", out)
	}
}

func TestEveryOperationHasACommand(t *testing.T) {
	root := &cobra.Command{Use: "vigate"}
	AddTo(root, Host{})
	for _, path := range []string{
		"login", "logout", "whoami", "about", "session ls", "session rm", "session top", "session active",
		"session clone-ticket",
		"session clone",
		"session impersonate", "session locale", "session locales", "session message", "session service-ticket",
		"session local-ticket",
		"user ls", "user add", "user passwd", "user rm", "user disable", "user enable", "user unlock",
		"role ls", "role create", "role update", "role rm", "permission ls", "permission set", "permission rm",
		"permission check",
		"extension ls", "extension info", "extension register", "extension setcert", "extension unregister", "event ls",
		"option ls", "option set", "token issue", "token renew", "token keys",
	} {
		cmd, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) != 0 || !cmd.Runnable() || cmd.Short == "" {
			t.Errorf("vigate %s: %v, rest %v", path, err, rest)
			continue
		}
		var missing []string
		for _, flag := range []string{"url", "username", "password-file", "password-stdin", "insecure", "ca",
			"thumbprint", "cert", "key", "release", "output", "session-file", "timeout"} {
			if cmd.InheritedFlags().Lookup(flag) == nil && cmd.LocalFlags().Lookup(flag) == nil {
				missing = append(missing, flag)
			}
		}
		if len(missing) > 0 {
			t.Errorf("vigate %s lacks %v", path, missing)
		}
	}
	contains(t, root.Long, "Exit codes:")
}

const signingKeyJSON = `{"_typeName":"VigateSigningKey","number":7,"thumbprint":"0a0b","state":"trusted",` +
	`"signsFrom":"2026-03-04T05:06:07Z","trustedUntil":"2026-05-04T05:06:07Z"}`

func TestWhyKeysAreNotReplacedIsExplained(t *testing.T) {
	const name = "VigateTokenService"
	const noKeys = "does not show its keys"
	gone := ref(name, "token-service")
	for body, want := range map[string]string{
		`{"_typeName":"InvalidType","faultstring":"wrong","argument":"` + name + `"}`:   noKeys,
		`{"_typeName":"ManagedObjectNotFound","faultstring":"gone","obj":` + gone + `}`: noKeys,
		`{"_typeName":"LimitExceeded","faultstring":"limit"}`:                           "too many keys are trusted",
	} {
		s := startServer(t, map[string]string{"POST " + name + ".ReplaceSigningKey": "fault " + body})
		code := 5
		if want[0] == 't' {
			code = 1
		}
		contains(t, newShell(t, s).fails(code, "token", "keys", "--replace"), want)
	}
	contains(t, newShell(t, startServer(t, nil)).fails(2, "token", "keys", "--distrust"), "needs --replace")
}

func TestAServerWithoutNodesIsExplained(t *testing.T) {
	for _, body := range []string{`{"_typeName":"InvalidType","faultstring":"A specified parameter was not correct.",` +
		`"argument":"VigateCluster"}`,
		`{"_typeName":"ManagedObjectNotFound","faultstring":"gone","obj":` + ref("VigateCluster", "cluster") + `}`} {
		s := startServer(t, map[string]string{"GET VigateCluster.nodes": "fault " + body})
		contains(t, newShell(t, s).fails(5, "node", "ls"), "does not list its nodes")
	}
}

// Package vigate_test checks rules of the whole project: which package may import which, sizes and
// form of the source, and that the documents match the code. It contains only tests. The rules are
// tables in these files; a change of a rule is a change of its table, with a reason.
package vigate_test

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vigate/vigate/"

// rooms is the table of docs/design.md §3. It says which of our packages each package may import,
// by their names below internal/, and why it may not import others. "*" means all packages.
var rooms = map[string]struct {
	may imports
	why string
}{
	"cmd/vigate": {"*", "it is the command line for everything"},
	"cmd/vigate-lab": {"client config lab secret serve/process",
		"what it runs is in a package, which tests use as well"},
	"internal/serve":         {"*", "it assembles the server"},
	"internal/serve/logging": {"config", "a log doesn't depend on what is logged"},
	"internal/serve/process": {"", "a process is the same whatever it serves"},
	"internal/serve/shared": {"config datadir secret secret/secretfile serve/storage store/etcd",
		"not every server contains the client of etcd"},
	"internal/serve/storage": {"config datadir store store/bolt", "a store doesn't depend on what is served from it"},
	"internal/lab":           {"*", "it is a whole server for other programs"},
	"vigatetest": {"client config lab secret",
		"the tests of strangers depend on it, so that it must be small"},
	"client":                     {"clientenv", "it works with any VI JSON server, so it must not depend on this one"},
	"client/bridge":              {"client", "it shares a session of any server between two clients"},
	"client/sessionfile":         {"client clientenv", "it saves sessions of any server"},
	"internal/clientenv":         {"secret", "environment variables don't depend on who reads them"},
	"internal/principal":         {"", "a name is a plain value"},
	"internal/peer":              {"", "facts about a connection are plain values"},
	"internal/locale":            {"", "texts are plain values"},
	"internal/record":            {"", "an encoding knows nothing of what it encodes"},
	"internal/secret":            {"", "every package may hold a secret"},
	"internal/secret/secretfile": {"datadir secret", "a secret doesn't depend on what it is for"},
	"internal/secret/secrettest": {"", "support of tests: searches output for secrets"},
	"internal/trust/trusttest":   {"", "support of tests: issues certificates"},
	"internal/budget":            {"", "an account knows nothing of what it counts"},
	"internal/schema":            {"", "the API's types are those of govmomi"},
	"internal/schema/schematest": {"schema", "support of tests: fills values of the API's types"},
	"internal/store":             {"", "a store knows records, not their meaning"},
	"internal/store/bolt":        {"store", "a store knows records, not their meaning"},
	"internal/store/etcd": {"store secret store/etcd/fence store/etcd/lag store/etcd/layout store/etcd/members",
		"a store knows records, not their meaning"},
	"internal/store/etcd/fence":   {"store store/etcd/layout store/etcd/members", "it knows transactions, not commits"},
	"internal/store/etcd/lag":     {"store", "it knows revisions, and sends nothing"},
	"internal/store/etcd/layout":  {"store", "an encoding sends nothing"},
	"internal/store/etcd/members": {"secret", "it knows requests, not their meaning"},
	"internal/store/transfer":     {"store", "a copy knows records, not their meaning"},
	"internal/store/storetest":    {"store testclock", "the suite must fit every store"},
	"internal/testclock":          {"", "support of tests: a clock"},
	"internal/filewatch":          {"", "a change of a file doesn't depend on what it contains"},
	"internal/event":              {"store principal record", "the log holds facts; readers make the texts"},
	"internal/front": {
		"domain login login/passthrough principal secret session sessionmanager upstream upstream/settings vim " +
			"access event",
		"who comes in, and as whom: it passes nothing on and knows no binding",
	},
	"internal/audit":         {"event", "a line of the log doesn't depend on which calls leave one"},
	"internal/setting":       {"store event principal record", "options don't depend on who sets them"},
	"internal/setting/known": {"", "a table that programs need without the settings of a server"},
	"internal/eviction":      {"store principal record", "it only requests that sessions end"},
	"internal/access":        {"store event principal record", "authority is decided without sessions and logins"},
	"internal/named":         {"principal store", "a name is found without knowing whose it is"},
	"internal/roster":        {"store", "the order of creations doesn't depend on what is created"},
	"internal/account": {"store event principal record roster eviction named secret",
		"a user exists whether or not it logs in"},
	"internal/extension": {"store event principal record roster eviction trust named",
		"an extension exists whether or not it logs in"},
	"internal/session":   {"store event principal secret", "sessions know neither login methods nor protocols"},
	"internal/directory": {"account principal", "who there is does not depend on how anybody logs in"},
	"internal/login": {
		"store event principal session access account extension setting locale peer secret trust login/throttle",
		"a login method knows neither the API nor a binding",
	},
	"internal/login/passthrough": {"account login principal secret session",
		"a login method knows no other, and the server that it asks is behind an interface"},
	"internal/login/throttle": {"setting", "a counter doesn't depend on what it counts"},
	"internal/login/turns":    {"login", "a turn doesn't depend on what is done in it"},
	"internal/login/local": {
		"access event login login/throttle login/turns peer principal secret session setting store",
		"a source of passwords knows no other, and neither the API nor a binding",
	},
	"internal/login/jwt": {"login login/turns peer principal secret session trust",
		"a login method knows no other, and asks no store"},
	"internal/identity": {
		"budget config directory ldap login login/jwt login/samltoken login/sspi principal recheck saml secret " +
			"secret/secretfile session trust",
		"it assembles sources; they don't know each other, the configuration or the server",
	},
	"internal/ldap": {"directory login login/turns principal secret secret/secretfile session trust",
		"a directory is a source of users and passwords like others; it knows neither the API nor a store"},
	"internal/ldap/ldaptest": {"trust/trusttest", "support of tests: runs a directory"},
	"internal/login/samltoken": {"budget login principal saml session store",
		"tokens are verified elsewhere; a login method knows neither the API nor a binding"},
	"internal/login/sspi": {"login peer principal secret session store datadir filewatch",
		"a login method knows no other, and asks no store: it only says what a login spends"},
	"internal/recheck": {"directory event login principal session",
		"it asks directories of any kind, and only changes sessions"},
	"internal/domain": {"store event principal session access account extension setting roster locale login directory",
		"the domain is complete without the API and the bindings"},
	"internal/instance": {"budget session", "it knows no object, only that a session owns it"},
	"internal/vim": {"store event session access locale peer login budget instance secret domain audit",
		"the dispatcher knows neither an object nor a binding"},
	"internal/sessionmanager": {
		"vim domain store event principal session access login login/local setting locale secret",
		"operations know neither HTTP nor a binding",
	},
	"internal/inventory":   {"vim domain access login", "operations know neither HTTP nor a binding"},
	"internal/vim/vimtest": {"*", "support of tests: assembles a whole API"},
	"internal/admin": {
		"vim domain directory access account extension setting event principal session locale budget secret",
		"administration consists of operations on the domain; it knows no store, no HTTP, no binding",
	},
	"internal/history":      {"vim access event locale budget", "the log is used through the API; it knows no store"},
	"internal/history/kind": {"", "a name of a type needs no log"},
	"internal/cluster":      {"store record vim", "the list of nodes and their clocks don't depend on sessions"},
	"internal/upstream": {
		"secret secret/secretfile upstream/entrance upstream/note upstream/password upstream/settings upstream/wire",
		"sessions at an upstream know neither vigate's clients nor their calls"},
	"internal/upstream/entrance": {"secret upstream/note upstream/password upstream/wire",
		"a login doesn't depend on what becomes of its session"},
	"internal/upstream/manager":  {"access upstream vim", "it shows upstreams to clients, and changes none"},
	"internal/upstream/settings": {"config principal", "settings don't depend on who uses them"},
	"internal/upstream/note":     {"record secret store", "a note doesn't depend on what it is for"},
	"internal/upstream/password": {"secret", "a password doesn't depend on where it is sent"},
	"internal/upstream/wire":     {"datadir secret xmltoken", "a connection knows neither accounts nor limits"},
	"internal/property/value":    {"schema", "the structure of a value doesn't depend on its origin"},
	"internal/property": {"property/value schema vim session budget",
		"properties are read through the API's rows"},
	"internal/vim/implied": {"", "names are plain values"},
	"internal/openapi":     {"schema vim vim/implied", "the document is made only from the rows"},
	"internal/wsdl": {"binding peer schema vim vim/implied xmltoken",
		"the documents are made only from the rows"},
	"internal/vectors":           {"*", "support of tests: assembles a whole API"},
	"internal/httptoken":         {"", "headers and cookies are plain values"},
	"internal/jsontoken":         {"", "reading JSON doesn't depend on the API"},
	"internal/xmltoken":          {"", "reading XML depends neither on SOAP nor on the API"},
	"internal/xmlsig":            {"xmltoken", "a signature doesn't depend on what is signed"},
	"internal/xmlsig/xmlsigtest": {"", "support of tests: signs independently of the package that verifies"},
	"internal/saml":              {"principal secret xmlsig", "a token is verified without accounts and sessions"},
	"internal/saml/samltest":     {"principal saml xmlsig xmlsig/xmlsigtest", "support of tests: issues tokens"},
	"internal/sts/signing":       {"store record xmlsig", "a key doesn't depend on what it signs"},
	"internal/sts/manager": {"access event store sts/signing vim",
		"it shows and replaces keys for clients; it knows neither tokens nor a binding"},
	"internal/sts/lookup": {"binding httptoken peer xmlsig xmltoken",
		"it says where services are, and knows none of them"},
	"internal/sts": {
		"access account event extension principal session store directory login peer binding budget httptoken secret " +
			"saml xmlsig xmltoken sts/signing",
		"it serves tokens over HTTP as a binding does; it knows neither the API nor another binding",
	},
	"internal/binding": {"vim peer httptoken secret", "the shared part knows neither a binding nor a codec"},
	"internal/vijson": {"binding vim schema jsontoken openapi httptoken secret",
		"a binding knows neither another binding nor the store"},
	"internal/translation": {"binding vim translation/codec xmltoken",
		"it knows neither the binding that passes it requests nor the front that forwards them"},
	"internal/translation/codec": {"binding vim schema jsontoken xmltoken",
		"it translates values, and knows neither requests nor managed objects"},
	"internal/translation/generate": {"", "it reads only the source of the library"},
	"internal/soap": {"binding vim schema httptoken xmltoken secret wsdl",
		"a binding knows neither another binding nor the store"},
	"internal/welcome": {"", "the page for strangers shows no state"},
	"internal/rest":    {"binding vim httptoken secret", "a binding knows neither another binding nor the store"},
	"internal/console": {"binding console/page httptoken locale secret sessionmanager vim",
		"a binding knows no other"},
	"internal/console/authority":   {"admin console console/page vim", "it only makes calls"},
	"internal/console/events":      {"console console/page history/kind", "it only makes calls"},
	"internal/console/message":     {"console console/page", "it only makes calls"},
	"internal/console/page":        {"locale", "a page is made without knowing requests and sessions"},
	"internal/console/servers":     {"cluster console console/page upstream/manager", "it only makes calls"},
	"internal/console/settings":    {"console console/page setting/known", "it only makes calls"},
	"internal/console/sessions":    {"console console/page sessionmanager upstream/manager vim", "it only makes calls"},
	"internal/console/consoletest": {"*", "support of tests: a browser without scripts"},
	"internal/server": {
		"datadir filewatch peer httptoken",
		"listeners don't know what they serve; they know the header that other origins can't send",
	},
	"internal/gateway/link": {"", "a URL is found without knowing the text around it"},
	"internal/gateway/dispense": {"datadir filewatch login login/jwt peer principal secret session",
		"it decides who gets a ticket, and knows neither the API nor where the ticket is good"},
	"internal/gateway/path": {"binding gateway gateway/hop gateway/link httptoken secret upstream vim",
		"it sends what the front has admitted, and knows neither pools nor logins"},
	"internal/gateway": {
		"binding gateway/answer gateway/hop gateway/message gateway/method gateway/owned httptoken secret session " +
			"upstream vim xmltoken",
		"it passes calls on, and knows neither a binding nor the objects of the API",
	},
	"internal/gateway/answer": {"gateway/message secret xmltoken",
		"what a client may see is a matter of bytes; the caller says who owns what"},
	"internal/gateway/hop":     {"", "headers are plain values"},
	"internal/gateway/method":  {"", "a table of names needs nothing else"},
	"internal/gateway/owned":   {"gateway/method session", "who owns what is known without knowing how it is called"},
	"internal/gateway/message": {"xmltoken", "what passes through is changed without knowing what it means"},
	"internal/trust":           {"datadir filewatch", "trust in a certificate doesn't depend on its use"},
	"internal/announce":        {"datadir", "what others are told doesn't depend on what is served"},
	"internal/datadir":         {"", "who may change a directory doesn't depend on its content"},
	"internal/control":         {"peer", "the control socket doesn't know what it sends"},
	"internal/metrics": {
		"store account server upstream",
		"the measured packages don't know metrics, and metrics know no operation",
	},
	"internal/config":      {"", "settings don't depend on who uses them"},
	"internal/cli/command": {"client client/sessionfile clientenv", "the commands work with any server"},
	"internal/cli/example": {"", "an example is a text"},
	"internal/reference": {"console locale rest setting setting/known soap sts sts/lookup vijson vim",
		"support of tests: makes pages from tables, and knows no data"},
	"internal/cli/token":    {"cli/command clientenv", "the commands work with any Security Token Service"},
	"internal/cli/upstream": {"cli/command", "the commands know the API of vigate, not the server"},
	"internal/cli/session": {"client cli/command cli/upstream principal",
		"the commands need of a server only what every server of the API has, and compare names as servers do"},
	"internal/cli": {"client cli/command cli/example cli/session cli/token cli/upstream history/kind setting/known",
		"the commands work with any server, through the public client"},
}

// imports are names of packages below internal/, or "client" and those below it, with blanks between them.
type imports string

// paths returns the packages as directories of this module.
func (i imports) paths() []string {
	all := strings.Fields(string(i))
	for n, name := range all {
		if name != "*" && !ofClients(name) {
			all[n] = "internal/" + name
		}
	}
	return all
}

// ofClients reports whether a package of a room is not below internal/.
func ofClients(name string) bool { return name == "client" || strings.HasPrefix(name, "client/") }

// homes lists, for each third-party module, the only packages that may import it.
var homes = map[string][]string{
	"go.etcd.io/bbolt": {"internal/store/bolt"},
	"go.etcd.io/etcd": {"internal/store/etcd", "internal/store/etcd/fence", "internal/store/etcd/layout",
		"internal/store/etcd/members"},
	// the etcd client is configured with types of these modules
	"google.golang.org/grpc": {"internal/store/etcd/members"}, "go.uber.org/zap": {"internal/store/etcd/members"},
	"github.com/spf13/cobra": {"cmd/vigate", "internal/cli", "internal/cli/command", "internal/cli/session",
		"internal/cli/token", "internal/cli/upstream", "internal/cli/example", "internal/reference", "cmd/vigate-lab"},
	"github.com/spf13/pflag":              {"cmd/vigate", "internal/cli", "internal/cli/command", "internal/reference"},
	"golang.org/x/crypto/argon2":          {"internal/account"},
	"golang.org/x/text":                   {"internal/locale", "internal/principal"},
	"github.com/coreos/go-oidc":           {"internal/login/jwt"},
	"github.com/go-jose/go-jose":          {"internal/login/jwt"},
	"github.com/jcmturner/gokrb5":         {"internal/login/sspi"},
	"golang.org/x/term":                   {"cmd/vigate", "internal/cli", "internal/cli/command"},
	"google.golang.org/protobuf":          {"internal/session"},
	"github.com/go-ldap/ldap":             {"internal/ldap", "internal/ldap/ldaptest"},
	"go.yaml.in/yaml":                     {"internal/config"},
	"github.com/prometheus/client_golang": {"internal/metrics"},
	"golang.org/x/sys":                    {"internal/peer"},
	"github.com/google/uuid":              {"internal/session", "internal/instance", "internal/setting"},

	"github.com/russellhaering/goxmldsig":           {"internal/xmlsig", "internal/xmlsig/xmlsigtest"},
	"github.com/beevik/etree":                       {"internal/xmlsig", "internal/xmlsig/xmlsigtest"},
	"github.com/mattermost/xml-roundtrip-validator": {"internal/xmlsig"},

	"github.com/vmware/govmomi": {
		"internal/lab", "vigatetest", "internal/cli/upstream", "internal/cli/session", "client", "client/bridge",
		"internal/serve", "internal/instance", "internal/vim", "internal/vim/vimtest", "internal/sessionmanager",
		"internal/inventory", "internal/admin", "internal/history", "internal/history/kind", "internal/property",
		"internal/property/value", "internal/schema", "internal/translation", "internal/translation/codec",
		"internal/binding", "internal/vijson", "internal/soap", "internal/rest", "internal/openapi", "internal/wsdl",
		"internal/cli", "internal/vectors", "internal/cli/command", "internal/cli/token", "internal/upstream",
		"internal/upstream/entrance", "internal/upstream/wire", "internal/upstream/manager", "internal/sts/manager",
		"internal/gateway", "internal/gateway/answer", "internal/gateway/owned", "internal/gateway/method",
		"internal/gateway/path", "internal/console", "internal/console/events", "internal/console/message",
		"internal/console/sessions", "internal/console/authority", "internal/console/settings"},
}

// theDomain lists the packages that docs/design.md calls the domain.
var theDomain = []string{"store", "event", "principal", "session", "access", "account", "extension", "setting"}

func TestTheTableOfRoomsIsThatOfTheDesign(t *testing.T) {
	_, table, ok := strings.Cut(readText(t, "docs/design.md"), "\n| package | owns | may import (ours) |\n|--|--|--|\n")
	if !ok {
		t.Fatal("docs/design.md has no table of rooms")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	seen := map[string]bool{}
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != 3 || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("a row of three cells is needed: %s", row)
			continue
		}
		var may []string
		for name := range strings.SplitSeq(strings.TrimSpace(cells[2]), ", ") {
			switch {
			case name == "all":
				may = append(may, "*")
			case name == "–":
			case name == "the domain":
				for _, d := range theDomain {
					may = append(may, "internal/"+d)
				}
			case ofClients(name):
				may = append(may, name)
			default:
				may = append(may, "internal/"+name)
			}
		}
		slices.Sort(may)
		for name := range strings.SplitSeq(strings.TrimSpace(cells[0]), ", ") {
			name = strings.Trim(name, "`")
			room, ok := rooms[name]
			if !ok || seen[name] {
				t.Errorf("docs/design.md: %s is not a package of the table rooms, or has two rows", name)
			}
			seen[name] = true
			if want := slices.Sorted(slices.Values(room.may.paths())); !slices.Equal(may, want) {
				t.Errorf("docs/design.md: %s may import %v, but the test says %v", name, may, want)
			}
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("docs/design.md has no row for %s", name)
		}
	}
}

func TestEveryPackageImportsOnlyWhatItsRoomMay(t *testing.T) {
	for _, s := range sources(t, false) {
		room, ok := rooms[s.dir]
		if !ok {
			t.Errorf("%s: package %s is not in the table rooms", s.path, s.dir)
			continue
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			ours, ok := strings.CutPrefix(path, module)
			if may := room.may.paths(); ok && !slices.Contains(may, ours) && !slices.Contains(may, "*") {
				t.Errorf("%s imports %s: %s", s.path, ours, room.why)
			}
			for third, home := range homes {
				if (path == third || strings.HasPrefix(path, third+"/")) && !slices.Contains(home, s.dir) {
					t.Errorf("%s imports %s, which only %v may import", s.path, path, home)
				}
			}
		}
	}
}

func TestEveryThirdPartyModuleHasAHome(t *testing.T) {
	for _, s := range sources(t, false) {
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if !strings.Contains(strings.Split(path, "/")[0], ".") || strings.HasPrefix(path, module) {
				continue
			}
			found := false
			for third := range homes {
				found = found || path == third || strings.HasPrefix(path, third+"/")
			}
			if !found {
				t.Errorf("%s imports %s, which is not in the table homes", s.path, path)
			}
		}
	}
}

// long lists functions that may be long because they are tables or wiring.
var long = []string{"internal/config.Keys", "internal/serve.Open"}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, s := range slices.Concat(parsed(t, false), parsed(t, true)) {
		lines := s.fset.Position(s.file.End()).Line
		if lines > 500 && !strings.HasPrefix(s.path, "internal/locale/") {
			t.Errorf("%s has %d lines, more than 500", s.path, lines)
		}
		if strings.HasSuffix(s.path, "_test.go") {
			continue // a table of cases may be long
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || slices.Contains(long, s.dir+"."+f.Name.Name) {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > 60 {
				t.Errorf("%s: %s has %d lines, more than 60", s.path, f.Name.Name, n)
			}
		}
	}
}

// large lists the packages that may have more than 2,000 lines, not counting tests: their maximum
// number of lines, and why they are not divided.
var large = map[string]struct {
	lines int
	why   string
}{
	"internal/vim":      {2100, "rows, calls and their dispatch share the unexported state of a call"},
	"bench":             {3400, "it is one program that is not shipped; its reusable parts are packages"},
	"client":            {2600, "users import one package; the codec is not exported"},
	"internal/event":    {2100, "one sequence of events in memory, which only its queries know"},
	"internal/gateway":  {2100, "a call that is passed on is one state, from its admission to the end of its answer"},
	"internal/locale":   {4200, "each language has its texts in one file, with one line for each text"},
	"internal/property": {2450, "a collector, its filters and views are the state of one managed object"},
	"internal/server":   {2500, "listeners, limits and shutdown share the state of connections"},
	"internal/session":  {2750, "sessions and tickets share commits, limits and state: see docs/design.md"},
	"internal/upstream": {2750, "accounts, pools, places and queues of an upstream are one state under one lock"},
	"internal/store/bolt": {2200,
		"the checks of the file's pages belong to the only code that may know the pages"},
}

func TestPackagesStaySmall(t *testing.T) {
	size := map[string]int{}
	for _, s := range parsed(t, false) {
		size[s.dir] += s.fset.Position(s.file.End()).Line
	}
	for dir, n := range size {
		most := 2000
		if l, ok := large[dir]; ok {
			if most = l.lines; n <= 2000 {
				t.Errorf("%s has %d lines: remove it from the table large", dir, n)
			}
		}
		if n > most {
			t.Errorf("%s has %d lines, more than %d: divide it, or add a reason to the table large", dir, n, most)
		}
	}
	for dir := range large {
		if size[dir] == 0 {
			t.Errorf("%s is in the table large but does not exist", dir)
		}
	}
}

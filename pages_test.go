package vigate_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

// shown are the rows of tables of docs/gateway.md, by the title of the section and what the row begins with. Each has
// the tests that show what the row says.
var shown = map[string]map[string][]string{
	"4. What client sessions share": {
		"upstream sessions": {
			"TestThereAreNeverMoreSessionsThanAllowed", "TestInModePrivateEachClientHasASessionOfItsOwn",
		},
		"a client that only reads": {"TestCallsShareOneSessionUntilItIsBusy"},
		"a client with filters":    {"TestAClientStaysOnItsUpstreamSessionAsLongAsItOwnsSomething"},
		"what one client sees of another": {
			"TestNobodySeesWhatBelongsToAnother", "TestIDsOfOthersAreUnknownAndTheUpstreamIsNotAsked",
		},
		"language of messages":              {"TestEachLanguageHasAPoolOfItsOwn"},
		"when the upstream session is lost": {"TestWhoOwnsNothingNoticesNoLossAndOthersLogInAgain"},
	},
	"5. What passes, method family by method family": {
		"login, logout":     {"TestClientsWorkThroughAFront"},
		"`/api/session`":    {"TestEverySpellingOfTheSessionResourceIsTheFronts"},
		"ServiceContent":    {"TestStrangersGetTheContentAndNothingElse"},
		"properties":        {"TestPropertiesOfTheSessionManagerAreTheFrontsHoweverTheyAreReached"},
		"filters and waits": {"TestWhatAFrontCannotReportIsRefusedWithAReason"},
		"views":             {"TestGovmomiUsesViews"},
		"events, tasks": {
			"TestGovmomiReadsEventsAndTasks", "TestAKeyThatIsNotKnownYetStandsInNoAnswer",
		},
		"power, create":                     {"TestPyVmomiMakesReadsAndDestroysMachinesThroughAFront"},
		"files of datastores":               {"TestGovmomiMovesFilesOfDatastores", "TestGovmomiWorksInAGuest"},
		"roles, permissions":                {"TestGovcSeesTheSameThroughAFront"},
		"methods that vigate does not know": {"TestARequestReachesTheUpstreamAsItWasSentButForCredentialsAndIDs"},
		"storage policies":                  {"TestServicesBesideTheSDKPass"},
		"tags, content libraries":           {"TestTagsAndLibrariesPassAlsoAfterALoss"},
		"tokens of the Automation API":      {"TestTokensOfTheUpstreamsIdentityAreOutOfReach"},
		"lookup service":                    {"TestServicesWithLoginsOfTheirOwnGetNoCredentials"},
		"administration of single sign-on":  {"TestPathsThatAreNotServedAreNotPassedOn"},
		"consoles": {
			"TestAWebSocketPassesAndEndsWithItsClientSession", "TestOnlyAWebSocketSwitchesProtocols",
		},
		"AcquireTicket":               {"TestATicketForAConsoleLeadsToTheFrontIfItLeadsToTheUpstream"},
		"AcquireGenericServiceTicket": {"TestGovcSeesTheSameThroughAFront"},
		"VI JSON": {
			"TestAFrontServesTheSameOverJSONAsOverSOAP", "TestTheTableHasEveryMethodAndPropertyOfTheAPI",
		},
	},
	"9. Failure by failure": {
		"the upstream ends a session": {
			"TestWhoOwnsNothingNoticesNoLossAndOthersLogInAgain",
			"TestAClientThatOwnedSomethingOnALostSessionLogsInAgain",
		},
		"the upstream refuses a call as not authenticated": {
			"TestACallThatALivingSessionIsRefusedIsMadeOnceMore", "TestAWaitThatIsMadeOnceMoreGivesItsPlaceBack",
		},
		"the upstream can't be reached": {
			"TestAnUpstreamThatIsStartedAgainIsServedAgain", "TestAFrontWithoutItsUpstreamKeepsNobodyElseFromWorking",
		},
		"a connection breaks during a call": {"TestACallWithAnUnknownOutcomeIsNotMadeAgain"},
		"a password of an account is wrong": {
			"TestAWrongPasswordIsTriedTwiceAndThenLeftAlone", "TestNoSequenceOfPasswordsLocksAUserOut",
		},
		"no place within":                   {"TestWhoeverWaitsIsServedInTheOrderOfArrival"},
		"a node of a cluster has no share":  {"TestAServerWithoutAShareSaysSoAtOnce"},
		"the upstream ends sessions of the": {"TestAnAccountLogsInToTheAutomationAPIAFewTimesAMinute"},
		"vigate is stopped":                 {"TestAServerThatIsStoppedLeavesNoSessionAtTheUpstream"},
		"vigate is killed": {
			"TestAKilledServerLeavesNoSessionsAtTheUpstreamOnceItRunsAgain",
			"TestSessionsThatCantBeTerminatedAreCountedUntilTheyMustHaveExpired",
		},
		"a node of a cluster fails": {"TestTheProcessesOfAClusterDivideTheSessions"},
		"the password of a pass-through user": {
			"TestSessionsEndWithTheLastUpstreamSessionOfTheirUser",
			"TestAPasswordThatWasRefusedIsNotTriedAgainForAWhile",
		},
	},
}

// rowsOf returns the first cells of the rows of a section's first table.
func rowsOf(t *testing.T, page, title string) []string {
	t.Helper()
	_, text, ok := strings.Cut(readText(t, page), "\n## "+title+"\n")
	if !ok {
		t.Errorf("%s has no section %s", page, title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	_, text, _ = strings.Cut(text, "\n|--|")
	_, text, _ = strings.Cut(text, "\n")
	text, _, _ = strings.Cut(text, "\n\n")
	var rows []string
	for _, m := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(text, -1) {
		rows = append(rows, m[1])
	}
	return rows
}

func TestTestsShowWhatThePageOnTheGatewaySays(t *testing.T) {
	names := testNames(t)
	for title, tests := range shown {
		rows := rowsOf(t, "docs/gateway.md", title)
		for _, row := range rows {
			if !slices.ContainsFunc(keysOf(tests), func(begin string) bool { return strings.HasPrefix(row, begin) }) {
				t.Errorf("no test shows the row %q of docs/gateway.md, §%s", row, title)
			}
		}
		for begin, all := range tests {
			if !slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, begin) }) {
				t.Errorf("docs/gateway.md, §%s, has no row %q", title, begin)
			}
			for _, name := range all {
				if !names[name] {
					t.Errorf("%s does not exist, which should show %q", name, begin)
				}
			}
		}
	}
}

func keysOf(m map[string][]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// Words that are written like names of the API, and are none.
var written = []string{"OpenAPI", "WebSocket", "VirtualCenter"}

// Fetch is part of no published API. The content that all clients read first is.
func TestNamesOfTheAPIOnThePagesOfTheGatewayAreThere(t *testing.T) {
	table := readText(t, "internal/translation/table.txt")
	form := regexp.MustCompile(`\b[A-Z][a-z]+[A-Z][A-Za-z]+\b`)
	find := types.TypeFunc()
	for _, page := range []string{"docs/gateway.md", "docs/kubernetes-sessions.md"} {
		for _, name := range form.FindAllString(readText(t, page), -1) {
			_, isType := find(name)
			if !isType && !slices.Contains(written, name) && !regexp.MustCompile(`\b`+name+`\b`).MatchString(table) {
				t.Errorf("%s names %s, which the API does not have", page, name)
			}
		}
	}
}

func TestMetricsThatDocumentsNameAreThere(t *testing.T) {
	list, named := readText(t, "docs/metrics.md"), 0
	form := regexp.MustCompile(`\bvigate_[a-z_]+\b`)
	for _, path := range documents(t) {
		for _, name := range form.FindAllString(readText(t, path), -1) {
			named++
			if name = strings.TrimSuffix(name, "_bucket"); !strings.Contains(list, "| `"+name+"` |") {
				t.Errorf("%s names the metric %s, which does not exist", path, name)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d metrics were found", named)
	}
}

func TestStatusesOfTheDispenserAreThoseOfItsPage(t *testing.T) {
	names := map[string]string{
		"OK": "200", "Unauthorized": "401", "Forbidden": "403", "MethodNotAllowed": "405", "TooManyRequests": "429",
		"ServiceUnavailable": "503",
	}
	source, err := os.ReadFile("internal/gateway/dispense/dispense.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`status: *http\.Status(\w+)|status(?:, o\.\w+)* = http\.Status(\w+)`).
		FindAllStringSubmatch(string(source), -1) {
		status, ok := names[m[1]+m[2]]
		if !ok {
			t.Errorf("the dispenser answers with the status %s%s", m[1], m[2])
		}
		want = append(want, status)
	}
	slices.Sort(want)
	rows := rowsOf(t, "docs/kubernetes-sessions.md", "4. What it answers")
	if want = slices.Compact(want); !slices.Equal(rows, want) {
		t.Errorf("the page has the statuses %v, the program %v", rows, want)
	}
}

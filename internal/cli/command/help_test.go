package command

import (
	"regexp"
	"strings"
	"testing"
)

func TestTheHelpHasOneIndentedLineForEachExitCode(t *testing.T) {
	head, lines, _ := strings.Cut(ExitCodes, "\n")
	if head != "Exit codes:" {
		t.Errorf("the heading is %q", head)
	}
	line := regexp.MustCompile(`^  [0-6]  \S`)
	for _, l := range strings.Split(lines, "\n") {
		if !line.MatchString(l) {
			t.Errorf("%q is not indented as the others are", l)
		}
	}
}

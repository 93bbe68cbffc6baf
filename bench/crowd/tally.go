//go:build linux

package crowd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Tally counts calls. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex // guards what follows
	calls  map[string]int
	failed int
	wrong  int
	first  []string // what went wrong first
}

// mostReasons bounds the reasons that are kept.
const mostReasons = 5

// errWrong means that an answer is not what its client must get. Other errors mean that there was no answer.
var errWrong = errors.New("wrong answer")

func wrongf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errWrong, fmt.Sprintf(format, args...))
}

func (t *Tally) add(kind string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[string]int{}
	}
	t.calls[kind]++
	switch {
	case err == nil:
		return
	case errors.Is(err, errWrong):
		t.wrong++
	default:
		t.failed++
	}
	if len(t.first) < mostReasons {
		t.first = append(t.first, fmt.Sprintf("%s: %v", kind, err))
	}
}

// Bad returns the number of calls whose answer was wrong, or that failed.
func (t *Tally) Bad() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wrong + t.failed
}

// String describes the calls in one line, with what went wrong first.
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	total, kinds := 0, slices.Sorted(maps.Keys(t.calls))
	for _, n := range t.calls {
		total += n
	}
	s := fmt.Sprintf("%d calls (%s)", total, strings.Join(kinds, ", "))
	if t.wrong+t.failed > 0 {
		s += fmt.Sprintf(", %d wrong, %d failed: %s", t.wrong, t.failed, strings.Join(t.first, "; "))
	}
	return s
}

package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/lab"
)

func TestGovcSeesTheSameThroughAFront(t *testing.T) {
	t.Parallel()
	for _, kind := range []lab.Kind{lab.VCenter, lab.ESXi} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			table, dir := readTable(t, string(kind)+".txt"), files(t)
			answers := map[way][]string{}
			var mu sync.Mutex // guards answers
			var all sync.WaitGroup
			for _, w := range []way{direct, overSOAP, overJSON} {
				s := newSite(t, kind, w, dir)
				all.Go(func() {
					a := s.runAll(t, table)
					mu.Lock()
					defer mu.Unlock()
					answers[w] = a
				})
			}
			all.Wait()
			differences := differencesOf(kind)
			for i, l := range table {
				for _, w := range []way{overSOAP, overJSON} {
					compare(t, l, w, answers[direct][i], answers[w][i], differences)
				}
			}
			for _, d := range differences {
				for _, w := range d.ways {
					if !d.used[w] {
						t.Errorf("%q over %s does not differ in this: %s", d.line, w, d.why)
					}
				}
			}
		})
	}
}

// compare checks that an answer is that of the simulator, but for the differences that are explained.
func compare(t *testing.T, l line, w way, want, got string, differences []*difference) {
	t.Helper()
	for _, d := range differences {
		if d.line != l.text || !slices.Contains(d.ways, w) {
			continue
		}
		changed := regexp.MustCompile(d.from).ReplaceAllString(want, d.to)
		d.used[w], want = changed != want, changed
	}
	if got != want {
		t.Errorf("line %d over %s: %s\n%s", l.number, w, l.text, diff(want, got))
	}
}

// diff shows the lines in which two texts differ.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return fmt.Sprintf("--- want\n%s\n--- got\n%s", clip(strings.Join(a, "\n")), clip(strings.Join(b, "\n")))
}

// clip returns the beginning of a long text.
func clip(text string) string {
	const most = 600
	return text[:min(most, len(text))]
}

// runAll runs the lines of a table and returns what each printed.
func (s *site) runAll(t *testing.T, table []line) []string {
	answers := make([]string, len(table))
	var beside sync.WaitGroup
	defer beside.Wait()
	for i, l := range table {
		if l.wait {
			beside.Wait()
			continue
		}
		args, err := l.expand(s.values)
		if err != nil {
			t.Error(err)
			return nil
		}
		call, known := invocation{args, l.input}, maps.Clone(s.values)
		if l.background {
			begun := make(chan struct{})
			start := sync.OnceFunc(func() { close(begun) })
			beside.Go(func() {
				defer start()
				answers[i], _ = s.runOne(t, s.beside, l, call, known, start)
			})
			<-begun
			continue
		}
		answer, out := s.runOne(t, s.govc, l, call, known, func() {})
		if answers[i] = answer; l.variable != "" {
			s.values[l.variable] = strings.TrimSpace(out)
		}
	}
	return answers
}

// runOne runs a line. It returns what the line printed, without what is different each time, and the output as it is.
func (s *site) runOne(t *testing.T, g *govc, l line, call invocation, known map[string]string,
	begun func()) (normal, out string) {
	r, err := g.run(call, begun)
	if err != nil {
		t.Errorf("line %d over %s: %s: %v", l.number, s.way, l.text, err)
		return "", ""
	}
	if s.way == direct && (r.Code != 0) != l.fails {
		t.Errorf("line %d: %s: exit code %d\n%s", l.number, l.text, r.Code, clip(r.Out+r.Err))
	}
	return fmt.Sprintf("exit code %d\n%s\n%s", r.Code, s.normal(r.Out, l, known), s.normal(r.Err, l, known)), r.Out
}

// What is different each time, and what stands for it. They apply in this order.
var volatile = []struct {
	form *regexp.Regexp
	name string
}{
	{regexp.MustCompile("\r\x1b\\[K[^\r\n]*\r"), "\r"}, // progress that the next line overwrites
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?( \+0000 UTC)?`), "TIME"},
	{regexp.MustCompile(`[A-Z][a-z][a-z] [A-Z][a-z][a-z] +\d+ \d\d:\d\d:\d\d (UTC )?\d{4}`), "TIME"},
	{regexp.MustCompile(`(\d\d-\d\d-\d\d )?\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`[^ "<>]*/govcsim-[^/ "<>\n]*`), "SIMULATOR"},
	{regexp.MustCompile(`cdrom--201-\d+`), "cdrom--201-POINTER"},
	{regexp.MustCompile(`"changeVersion": "\d+"`), `"changeVersion": "NANOSECONDS"`},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "TOKEN"},
	{regexp.MustCompile(`cst-VCT-[^@]*@`), "TICKET@"},
	{regexp.MustCompile(`[ \t]+`), " "}, // columns are as wide as what is in them
}

var upstreamForm = regexp.MustCompile(`127\.0\.0\.1:\d+`)

var number = regexp.MustCompile(`\b\d+(\.\d+)?\b`)

var uuid = regexp.MustCompile(`[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}`)

// normal returns a text with names for what is different each time. UUIDs have numbers in the order in which the line
// shows them.
func (s *site) normal(text string, l line, known map[string]string) string {
	text = strings.ReplaceAll(text, s.at.Host, "SERVER")
	text = upstreamForm.ReplaceAllString(text, "UPSTREAM")
	longestFirst := func(a, b string) int {
		return cmp.Or(cmp.Compare(len(known[b]), len(known[a])), cmp.Compare(a, b))
	}
	for _, name := range slices.SortedFunc(maps.Keys(known), longestFirst) {
		if known[name] != "" {
			text = strings.ReplaceAll(text, known[name], "$"+name)
		}
	}
	for changed := true; changed; {
		before := text
		text = volatile[0].form.ReplaceAllString(text, volatile[0].name)
		changed = before != text
	}
	for _, v := range volatile[1:] {
		text = v.form.ReplaceAllString(text, v.name)
	}
	numbers := map[string]int{}
	text = uuid.ReplaceAllStringFunc(text, func(id string) string {
		if l.unordered {
			return "UUID"
		}
		if numbers[id] == 0 {
			numbers[id] = len(numbers) + 1
		}
		return fmt.Sprintf("UUID%d", numbers[id])
	})
	if l.numbers {
		text = number.ReplaceAllString(text, "NUMBER")
	}
	if l.unordered {
		lines := strings.Split(text, "\n")
		slices.Sort(lines)
		text = strings.Join(lines, "\n")
	}
	return text
}

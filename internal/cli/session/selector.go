package session

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/principal"
)

// fields are what sessions can be sorted by, each in the order that it has without a minus sign.
var fields = map[string]func(a, b *session) int{
	"user":    func(a, b *session) int { return cmp.Compare(a.user, b.user) },
	"client":  func(a, b *session) int { return cmp.Compare(a.client, b.client) },
	"address": func(a, b *session) int { return cmp.Compare(a.IpAddress, b.IpAddress) },
	"method":  func(a, b *session) int { return cmp.Compare(a.method, b.method) },
	"key":     func(a, b *session) int { return cmp.Compare(a.Key, b.Key) },
	"calls":   func(a, b *session) int { return cmp.Compare(a.CallCount, b.CallCount) },
	"idle":    func(a, b *session) int { return cmp.Compare(b.idle, a.idle) },
	"age":     func(a, b *session) int { return cmp.Compare(b.age, a.age) },
}

// fieldNames are the names of fields, in the order of the help.
var fieldNames = []string{"age", "idle", "calls", "user", "client", "address", "method", "key"}

// selector chooses sessions. A session must fit all of its flags, and of a flag that is given several times
// one of the patterns.
type selector struct {
	patterns    map[string]*[]string // by flag
	idle, older span
	sort        string
	limit       int
	all         bool // a flag of rm: it may select all sessions

	order []func(a, b *session) int
}

// patternFlag is a flag that takes patterns, with the comparison of a pattern and a session.
type patternFlag struct {
	flag, help string
	fits       func(pattern, *session) bool
}

var patterned = []patternFlag{
	{"user", "select the sessions of a user", func(p pattern, s *session) bool { return p.fitsUser(s.UserName) }},
	{"client", "select by the client's user agent", func(p pattern, s *session) bool { return p.fits(s.UserAgent) }},
	{"address", "select by the client's address", func(p pattern, s *session) bool { return p.fits(s.IpAddress) }},
	{"method", "select by login method, such as password (only vigate reports it)",
		func(p pattern, s *session) bool { return p.fits(s.method) }},
}

// define adds the flags that choose sessions to the command.
func (q *selector) define(cmd *cobra.Command) {
	q.patterns = map[string]*[]string{}
	f := cmd.Flags()
	for _, p := range patterned {
		q.patterns[p.flag] = f.StringArray(p.flag, nil, p.help+"; PATTERN, * stands for any text, can be repeated")
	}
	f.Var(&q.idle, "idle", "select sessions without a call for at least this time, such as 90s, 30m, 1h or 2d")
	f.Var(&q.older, "older", "select sessions whose login is at least this long ago")
}

// defineOrder adds the flags that sort and limit what was chosen.
func (q *selector) defineOrder(cmd *cobra.Command) {
	cmd.Flags().StringVar(&q.sort, "sort", "age", "order: "+strings.Join(fieldNames, ", ")+
		"; several with commas, - before one reverses it")
	cmd.Flags().IntVar(&q.limit, "limit", 0, "take only the first sessions in that order (0: all)")
	command.Choices(cmd, "sort", fieldNames...)
}

// help explains the flags of define.
const help = `In a PATTERN, * stands for any text, even an empty one, and case does not
matter. Without *, the pattern must be the whole text. A pattern of --user
without a domain fits users of every domain; DOMAIN\NAME and NAME@DOMAIN mean
the same. A session is selected if it fits every kind of flag that is given. If
a flag is repeated, the session must fit one of its patterns. Times have the
units s, m, h and d, such as 1h30m or 7d, and are measured by the clock of the
server.`

// check returns an error for flags that make no sense, and prepares the order.
func (q *selector) check() error {
	for _, p := range patterned {
		if slices.Contains(*q.patterns[p.flag], "") && !q.all {
			return command.Usage("--%s is empty; leave it out to select without it", p.flag)
		}
	}
	if q.limit < 0 {
		return command.Usage("--limit must not be negative")
	}
	q.order = nil
	for name := range strings.SplitSeq(cmp.Or(q.sort, "age"), ",") {
		name, reversed := strings.CutPrefix(strings.TrimSpace(name), "-")
		by, ok := fields[name]
		if !ok {
			return command.Usage("--sort: %q is not one of %s", name, strings.Join(fieldNames, ", "))
		}
		if reversed {
			forward := by
			by = func(a, b *session) int { return forward(b, a) }
		}
		q.order = append(q.order, by)
	}
	return nil
}

// given reports whether a flag chooses sessions.
func (q *selector) given() bool {
	return q.idle.set || q.older.set ||
		slices.ContainsFunc(patterned, func(p patternFlag) bool { return len(*q.patterns[p.flag]) > 0 })
}

// boundless reports whether the flags let every session pass.
func (q *selector) boundless() bool {
	if q.idle.d > 0 || q.older.d > 0 {
		return false
	}
	anything := func(text string) bool { return strings.Trim(text, "*") == "" }
	return !slices.ContainsFunc(patterned, func(p patternFlag) bool {
		all := *q.patterns[p.flag]
		return len(all) > 0 && !slices.ContainsFunc(all, anything)
	})
}

// needsMethods reports whether sessions are chosen or sorted by login method.
func (q *selector) needsMethods() bool {
	return len(*q.patterns["method"]) > 0 || slices.ContainsFunc(strings.Split(q.sort, ","), func(name string) bool {
		return strings.Trim(name, " -") == "method"
	})
}

// choose returns the sessions that fit.
func (q *selector) choose(all []session) []session {
	type test struct {
		fits     func(pattern, *session) bool
		patterns []pattern
	}
	var tests []test
	for _, p := range patterned {
		t := test{fits: p.fits}
		for _, text := range *q.patterns[p.flag] {
			t.patterns = append(t.patterns, parsePattern(cmp.Or(text, "*")))
		}
		if len(t.patterns) > 0 {
			tests = append(tests, t)
		}
	}
	chosen := make([]session, 0, len(all))
	for i := range all {
		s := &all[i]
		fits := s.idle >= q.idle.d && s.age >= q.older.d
		for _, t := range tests {
			fits = fits && slices.ContainsFunc(t.patterns, func(p pattern) bool { return t.fits(p, s) })
		}
		if fits {
			chosen = append(chosen, *s)
		}
	}
	return chosen
}

// arrange sorts the sessions and takes the first of them. Those that are equal stay in the order of their keys.
func (q *selector) arrange(chosen []session) []session {
	// A session is large. To sort pointers moves less than to sort the sessions.
	sorted := make([]*session, len(chosen))
	for i := range chosen {
		sorted[i] = &chosen[i]
	}
	slices.SortFunc(sorted, func(a, b *session) int {
		for _, by := range q.order {
			if c := by(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Key, b.Key)
	})
	if q.limit > 0 && q.limit < len(sorted) {
		sorted = sorted[:q.limit]
	}
	arranged := make([]session, len(sorted))
	for i, s := range sorted {
		arranged[i] = *s
	}
	return arranged
}

// pattern is a text in which * stands for any text.
type pattern struct {
	parts []string // between the *, folded
	text  string   // the whole
}

func parsePattern(text string) pattern {
	text = principal.Fold(text)
	return pattern{strings.Split(text, "*"), text}
}

// fits reports whether the whole text fits the pattern.
func (p pattern) fits(text string) bool {
	text = principal.Fold(text)
	last := len(p.parts) - 1
	if last == 0 {
		return text == p.text
	}
	text, ok := strings.CutPrefix(text, p.parts[0])
	if !ok {
		return false
	}
	for _, part := range p.parts[1:last] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, p.parts[last])
}

// fitsUser reports whether the name of a user fits. A pattern without a domain is compared with the name in its
// domain, and one with a domain in the form that the pattern has.
func (p pattern) fitsUser(name string) bool {
	domain, user, ok := strings.Cut(name, `\`)
	if !ok {
		i := strings.LastIndexByte(name, '@')
		if i < 0 {
			return p.fits(name) // as of ESXi, and the keys of extensions
		}
		user, domain = name[:i], name[i+1:]
	}
	switch {
	case strings.Contains(p.text, `\`):
		return p.fits(domain + `\` + user)
	case strings.Contains(p.text, "@"):
		return p.fits(user + "@" + domain)
	}
	return p.fits(user)
}

// span is a time on the command line.
type span struct {
	d   time.Duration
	set bool
}

// maxDays keeps a span within a time.Duration.
const maxDays = 36500

// Set parses a time with the units d, h, m and s. Days come first.
func (s *span) Set(text string) error {
	rest := text
	var sum time.Duration
	if days, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > maxDays {
			return fmt.Errorf("%q is not a number of days", days)
		}
		sum, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" || sum == 0 && text == "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return fmt.Errorf("%q is not a time such as 90s, 30m, 1h or 2d", text)
		}
		sum += d
	}
	if sum < 0 {
		return fmt.Errorf("%q is negative", text)
	}
	*s = span{sum, true}
	return nil
}

// String implements pflag.Value.
func (s *span) String() string {
	if !s.set {
		return ""
	}
	return s.d.String()
}

// Type implements pflag.Value. The help shows it.
func (*span) Type() string { return "time" }

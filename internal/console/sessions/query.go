package sessions

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	defaultRows = 50
	maxText     = 600 // bytes of a text to look for; a user agent has up to 512
	maxPage     = 1_000_000
)

// rowChoices are the numbers of rows of a page.
var rowChoices = []int{25, 50, 100, 200, 500}

// columns are what the list can be sorted by.
var columns = []string{"since", "user", "name", "idle", "address", "client", "calls", "way"}

// holders are what the list can be grouped by. Each is also the name of the parameter that chooses one group.
var holders = []string{"user", "client", "address", "way"}

// query is what a page shows of the list. It can be compared.
type query struct {
	Text                       string // in any of the texts of a session
	User, Client, Address, Way string // exactly
	Idle                       time.Duration
	Sort                       string
	Down                       bool // the greatest first
	Group                      string
	Page, Rows                 int // Page counts from 1
}

// parse reads a query from the parameters of a request. Values that make no sense are ignored.
func parse(v url.Values) query {
	text := func(name string) string {
		s := strings.TrimSpace(v.Get(name))
		if len(s) > maxText || !utf8.ValidString(s) {
			return ""
		}
		return s
	}
	q := query{
		Text: text("q"), User: text("user"), Client: text("client"), Address: text("address"), Way: text("way"),
		Sort: "since", Down: true, Page: 1, Rows: defaultRows,
	}
	if d, err := time.ParseDuration(text("idle")); err == nil && d > 0 {
		q.Idle = d
	}
	if name, down := strings.CutPrefix(text("sort"), "-"); slices.Contains(columns, name) {
		q.Sort, q.Down = name, down
	}
	if g := text("group"); slices.Contains(holders, g) {
		q.Group = g
	}
	if n, err := strconv.Atoi(text("page")); err == nil && n > 0 && n <= maxPage {
		q.Page = n
	}
	if n, err := strconv.Atoi(text("rows")); err == nil && slices.Contains(rowChoices, n) {
		q.Rows = n
	}
	return q
}

// values returns the parameters that parse reads.
func (q query) values() url.Values {
	v := url.Values{}
	for name, s := range map[string]string{
		"q": q.Text, "user": q.User, "client": q.Client, "address": q.Address, "way": q.Way, "group": q.Group,
	} {
		if s != "" {
			v.Set(name, s)
		}
	}
	if q.Idle > 0 {
		v.Set("idle", q.Idle.String())
	}
	if q.Sort != "since" || !q.Down {
		v.Set("sort", q.Order())
	}
	if q.Page > 1 {
		v.Set("page", strconv.Itoa(q.Page))
	}
	if q.Rows != defaultRows {
		v.Set("rows", strconv.Itoa(q.Rows))
	}
	return v
}

// Order returns the parameter of the order.
func (q query) Order() string {
	if q.Down {
		return "-" + q.Sort
	}
	return q.Sort
}

// Encode returns the query as the query of a URL.
func (q query) Encode() string { return q.values().Encode() }

// at returns the path of the page with the query.
func (q query) at() string {
	if e := q.Encode(); e != "" {
		return path + "?" + e
	}
	return path
}

// By returns the path of the page in the order of a column, and in the reverse order if it has that order now.
func (q query) By(column string) string {
	q.Down = q.Sort == column && !q.Down || q.Sort != column && slices.Contains(greatestFirst, column)
	q.Sort, q.Page = column, 1
	return q.at()
}

// greatestFirst are the columns whose greatest values are looked for.
var greatestFirst = []string{"since", "idle", "calls"}

// Direction returns the order of a column as ARIA names it, or "".
func (q query) Direction(column string) string {
	switch {
	case q.Sort != column:
		return ""
	case q.Down:
		return "descending"
	}
	return "ascending"
}

// GroupBy returns the path of the page with groups, or without if holder is empty.
func (q query) GroupBy(holder string) string {
	q.Group, q.Page = holder, 1
	return q.at()
}

// Only returns the path of the page with the sessions of one group.
func (q query) Only(holder, name string) string {
	*q.exact(holder) = name
	q.Group, q.Page = "", 1
	return q.at()
}

// exact returns the field that chooses one group.
func (q *query) exact(holder string) *string {
	switch holder {
	case "user":
		return &q.User
	case "client":
		return &q.Client
	case "address":
		return &q.Address
	}
	return &q.Way
}

// choice is a condition that the page shows and can take away.
type choice struct{ Holder, Value, Without string }

// Choices returns the conditions that a group has set.
func (q query) Choices() []choice {
	var all []choice
	for _, h := range holders {
		if v := *q.exact(h); v != "" {
			without := q
			*without.exact(h), without.Page = "", 1
			all = append(all, choice{h, v, without.at()})
		}
	}
	return all
}

// Turn returns the path of another page.
func (q query) Turn(page int) string {
	q.Page = page
	return q.at()
}

// Bounded reports whether the query leaves sessions out.
func (q query) Bounded() bool {
	return q.Text != "" || q.User != "" || q.Client != "" || q.Address != "" || q.Way != "" || q.Idle > 0
}

// needsWays reports whether each session's way in must be known, and not only those of the page.
func (q query) needsWays() bool {
	return q.Way != "" || q.Text != "" || q.Sort == "way" || q.Group == "way"
}

// IdleText returns the time as the form has it.
func (q query) IdleText() string {
	if q.Idle == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(q.Idle.String(), "0s"), "0m")
}

// RowChoices returns the numbers of rows that a page may have.
func (q query) RowChoices() []int { return rowChoices }

// Holders returns what the list can be grouped by.
func (q query) Holders() []string { return holders }

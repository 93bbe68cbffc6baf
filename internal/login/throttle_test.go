package login

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/login/throttle"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/testclock"
)

// bench is a throttle without a gate. Users whose names begin with "user" exist.
type bench struct {
	*Throttle
	clock  *testclock.Clock
	values *setting.Values
}

func newBench() bench {
	c := testclock.New(time.Time{})
	v := setting.Defaults()
	exists := func(n principal.Name) bool { return strings.HasPrefix(n.User, "user") }
	return bench{NewThrottle(func() *setting.Values { return &v }, exists, c.Now), c, &v}
}

// The numbers of networks and of strangers for which a small bench has room.
const (
	smallNetworks  = 2000
	smallStrangers = 400
)

// held returns the number of counters that a table has for single keys.
func held(t *throttle.Table) (n int) {
	for key := range t.All() {
		if key != "" {
			n++
		}
	}
	return n
}

// newSmallBench returns a bench with room for fewer networks and strangers, so that a test can fill it.
func newSmallBench() bench {
	b := newBench()
	b.networks, b.strangers = throttle.NewTable(smallNetworks, 16, false), throttle.NewTable(smallStrangers, 8, false)
	return b
}

func named(user string) claim {
	n := principal.Name{Domain: "VSPHERE.LOCAL", User: user}
	return claim{text: n.String(), name: n}
}

// fail makes a wrong guess and reports whether a lock refused it.
func (b bench) fail(c claim, network string) (refused bool) {
	g := b.begin(c, network)
	g.wrong()
	return g.refused
}

func (b bench) locked(c claim, network string) bool {
	g := b.begin(c, network)
	g.giveBack()
	return g.refused
}

// login makes a right guess.
func (b bench) login(t *testing.T, c claim, network string) (taken bool) {
	t.Helper()
	g := b.begin(c, network)
	taken, err := g.right(t.Context(), func(context.Context) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if taken {
		g.succeeded()
	}
	g.giveBack()
	return taken
}

// guesses makes wrong guesses of the name from the network until a lock refuses one, but at most most. It
// returns how many were not refused.
func (b bench) guesses(c claim, network string, most int) int {
	for n := range most {
		if b.fail(c, network) {
			return n
		}
	}
	return most
}

// address returns the i-th of many addresses.
func address(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }

// size returns the number of all counters.
func (b bench) size() int {
	n := held(b.networks) + held(b.strangers)
	for _, name := range b.names.byKey {
		n++
		if name.pairs != nil {
			n += held(name.pairs)
		}
	}
	return n
}

func TestAFloodOfMadeUpNamesSwitchesNothingOff(t *testing.T) {
	b := newSmallBench()
	b.values.Pair.Failures = 2
	for i := range 100 { // two guesses lock each of these
		b.fail(named("user1"), address(i))
	}
	if !b.locked(named("user1"), "192.0.2.1") {
		t.Fatal("a hundred failures do not lock")
	}
	b.fail(named("user2"), "192.0.2.2")
	b.fail(named("user2"), "192.0.2.2")
	for i := range 30_000 { // each name twice, from an address of its own
		b.fail(named(fmt.Sprint("made up ", i/2)), address(1000+i/2))
	}
	if got, most := b.size(), smallNetworks+smallStrangers+2+200; got > most {
		t.Errorf("%d counters, more than %d", got, most)
	}
	if !b.locked(named("user1"), "192.0.2.1") || !b.locked(named("user2"), "192.0.2.2") {
		t.Error("a lock in force is gone")
	}
	if n := b.guesses(named("user3"), "192.0.2.3", 50); n != 2 {
		t.Errorf("%d guesses of a user who exists before a lock, want 2", n)
	}
	if n := b.guesses(named("made up last"), "192.0.2.4", 50); n > 2 {
		t.Errorf("%d guesses of a name that does not exist before a lock", n)
	}
	b.clock.Advance(time.Hour)
	for i := range 2000 {
		b.fail(named(fmt.Sprint("made up ", i%10)), address(i%200))
	}
	if got := b.size(); got > 600 { // the counters that count now, and the pairs of one user
		t.Errorf("%d counters an hour after the flood", got)
	}
}

func TestALockedAddressHasNoCountersMadeForNames(t *testing.T) {
	b := newBench()
	for range 100 {
		b.fail(claim{}, "192.0.2.1")
	}
	before := b.size()
	for i := range 1000 {
		b.fail(named(fmt.Sprint("made up ", i)), "192.0.2.1")
		b.fail(named(fmt.Sprint("user", i)), "192.0.2.1")
	}
	if got := b.size(); got != before {
		t.Errorf("%d counters, %d when the address was locked", got, before)
	}
	if b.locked(named("user7"), "192.0.2.2") || !b.locked(named("user7"), "192.0.2.1") {
		t.Error("what came from the locked address counted as guesses, or the lock is gone")
	}
}

// If locks fill the whole table, they stay in force, and the next failure is counted.
func TestALockInForceIsNeverDroppedForWantOfRoom(t *testing.T) {
	b := newSmallBench()
	b.values.Address.Failures, b.values.Pair.Failures = 2, 2
	many := 3 * smallNetworks
	for i := range many {
		b.fail(named(fmt.Sprint("made up ", i)), address(i))
		b.fail(named(fmt.Sprint("made up ", i)), address(i))
	}
	if n := held(b.networks); n > smallNetworks {
		t.Errorf("%d counters of addresses, want %d", n, smallNetworks)
	}
	for i := range many {
		if !b.locked(claim{}, address(i)) {
			t.Fatalf("address %d is not locked", i)
		}
	}
	b.clock.Advance(300*time.Second - 1)
	if !b.locked(claim{}, address(1)) || !b.locked(claim{}, address(many-1)) {
		t.Error("a lock ends early")
	}
	b.clock.Advance(1)
	if b.locked(claim{}, address(1)) || b.locked(claim{}, address(many-1)) {
		t.Error("a lock that is over holds")
	}
}

// If the rule for principals is disabled, many addresses have no more guesses than there is room for, and
// the user can still log in from the address of its earlier logins.
func TestGuessesOfOneUserFromManyAddressesAreBounded(t *testing.T) {
	b := newBench()
	b.values.Principal.Failures = 0
	if !b.login(t, named("user1"), "192.0.2.1") {
		t.Fatal("not logged in")
	}
	guesses := 0
	for range 20 {
		for i := range 1000 {
			if !b.fail(named("user1"), address(i)) {
				guesses++
			}
		}
	}
	if most := 5 * (maxPairs + 1); guesses > most {
		t.Errorf("%d guesses from a thousand addresses, want %d at the most", guesses, most)
	}
	if n := held(b.names.byKey[named("user1").key()].pairs); n > maxPairs {
		t.Errorf("%d counters of pairs", n)
	}
	if b.locked(named("user1"), "192.0.2.1") {
		t.Error("locked where it has logged in lately")
	}
	if n := b.guesses(named("user1"), "192.0.2.1", 50); n != 5 {
		t.Errorf("%d guesses there before a lock, want 5", n)
	}
	if b.locked(named("user2"), address(0)) {
		t.Error("another user is locked")
	}
}

func TestAddressesOfOneIPv6NetworkAreOneGuesser(t *testing.T) {
	f := newFixture(t)
	for i := range 5 {
		_ = f.try(t, from(fmt.Sprintf("2001:db8::%x", i+1), "administrator", "wrong"))
	}
	if err := f.try(t, from("2001:db8::ffff:1", "administrator", "right")); err == nil {
		t.Error("another address of the /64 has guesses of its own")
	}
	if err := f.try(t, from("2001:db8:0:1::1", "administrator", "right")); err != nil {
		t.Errorf("from another /64: %v", err)
	}
	for range 5 {
		_ = f.try(t, from("::ffff:192.0.2.9", "administrator", "wrong"))
	}
	if err := f.try(t, from("192.0.2.9", "administrator", "right")); err == nil {
		t.Error("an IPv4 address has guesses of its own when it is written as an IPv6 one")
	}
}

func TestOneUserOfTheUnixSocketCannotLockAnotherOut(t *testing.T) {
	f := newFixture(t)
	by := func(uid uint32, password string) Attempt {
		a := from("127.0.0.1", "administrator", password)
		a.Peer.Local, a.Peer.UnixUID = true, &uid
		return a
	}
	for range 100 {
		_ = f.try(t, by(1000, "wrong"))
	}
	if err := f.try(t, by(1000, "right")); err == nil {
		t.Error("who guesses is not locked")
	}
	if err := f.try(t, by(0, "right")); err != nil {
		t.Errorf("another user of the socket: %v", err)
	}
	if err := f.try(t, from("127.0.0.1", "administrator", "right")); err != nil {
		t.Errorf("a loopback connection: %v", err)
	}
}

func TestStrangersCannotLockAPrincipalOutFromWhereItLogsIn(t *testing.T) {
	f := newFixture(t)
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		_ = f.try(t, from(fmt.Sprint("198.51.100.", i/4), "administrator", "wrong"))
	}
	if err := f.try(t, from("192.0.2.99", "administrator", "right")); err == nil {
		t.Error("from a new address: not locked")
	}
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("from its own address: %v", err)
	}
	for range 5 {
		_ = f.try(t, from(addr, "administrator", "wrong"))
	}
	if err := f.try(t, from(addr, "administrator", "right")); err == nil {
		t.Error("guesses from its own address are without a limit")
	}
}

func TestOnlyTheLatestAddressesOfAPrincipalAreItsOwnAndNotForEver(t *testing.T) {
	b := newBench()
	for i := range maxUsual + 1 {
		if !b.login(t, named("user1"), address(i)) {
			t.Fatal("not logged in")
		}
	}
	for i := range 100 {
		b.fail(named("user1"), fmt.Sprint("198.51.100.", i/4))
	}
	if !b.locked(named("user1"), address(0)) {
		t.Error("the address before the latest eight is remembered")
	}
	for i := range maxUsual {
		if b.locked(named("user1"), address(i+1)) {
			t.Errorf("the address of login %d is locked", i+1)
		}
	}
	b.clock.Advance(usualTime)
	for i := range 100 {
		b.fail(named("user1"), fmt.Sprint("198.51.100.", i/4))
	}
	if !b.locked(named("user1"), address(maxUsual)) {
		t.Error("an address is remembered for more than a week")
	}
}

func TestAPrincipalThatHasLoggedInExists(t *testing.T) {
	b := newBench()
	ldap := claim{text: `CORP\ann`, name: principal.Name{Domain: "CORP", User: "ann"}}
	b.fail(ldap, "192.0.2.1")
	if n := len(b.names.byKey); n != 0 {
		t.Fatal("a name that nobody knows counts as one that exists")
	}
	if !b.login(t, ldap, "192.0.2.1") || len(b.names.byKey) != 1 {
		t.Error("not remembered after its login")
	}
	if n := b.guesses(ldap, "192.0.2.2", 50); n != 5 || held(b.strangers) > 2 {
		t.Errorf("%d guesses before a lock, %d counters of strangers", n, held(b.strangers))
	}
}

// The key of an extension never equals the key of a user, whatever text it has.
func TestAnExtensionsFailuresAreNotAUsers(t *testing.T) {
	b := newBench()
	ext := claim{text: `VSPHERE.LOCAL\user1`, name: principal.Extension(`VSPHERE.LOCAL\user1`)}
	if n := b.guesses(ext, "192.0.2.1", 50); n != 5 {
		t.Errorf("%d guesses before a lock", n)
	}
	if b.locked(named("user1"), "192.0.2.1") {
		t.Error("the user is locked")
	}
}

func TestALockOfAnyNetworkIsKnownOfExistingAndUnknownPrincipals(t *testing.T) {
	b := newBench()
	// More principals than are looked up at once, of whom every seventh is locked from one network.
	var all []principal.Name
	for i := range 2*lookedUp + 10 {
		who := named(fmt.Sprintf("%s%d", []string{"user", "stranger"}[i%2], i))
		all = append(all, who.name)
		for range b.values.Pair.Failures {
			if i%7 == 0 {
				b.fail(who, address(i))
			}
		}
	}
	all = append(all, all[0], principal.Name{}, principal.Extension("user0"))
	for round, until := range []time.Duration{0, b.values.Pair.Duration} {
		b.clock.Advance(until)
		for i, is := range b.Locked(all) {
			want := round == 0 && (i < len(all)-3 && i%7 == 0 || i == len(all)-3)
			if is != want {
				t.Errorf("round %d: %s is locked: %v", round, all[i], is)
			}
		}
	}
	if len(b.Locked(nil)) != 0 {
		t.Error("nobody is locked")
	}
}

func TestUnlockForgetsAllOfOnePrincipalAndNothingOfAnother(t *testing.T) {
	for _, who := range []string{"user1", "made up"} {
		b := newBench()
		b.values.Principal.Failures = 20
		if b.Unlock(named(who).name) {
			t.Errorf("%s was locked from the start", who)
		}
		for i := range 4 {
			for range 5 {
				b.fail(named(who), address(i))
				b.fail(named("user9"), address(i))
			}
		}
		if !b.locked(named(who), "192.0.2.1") || !b.Unlock(named(who).name) {
			t.Errorf("%s was not locked", who)
		}
		if b.locked(named(who), "192.0.2.1") || b.locked(named(who), address(0)) || b.Unlock(named(who).name) {
			t.Errorf("%s is still locked", who)
		}
		if !b.locked(named("user9"), address(0)) || !b.locked(named("user9"), "192.0.2.1") {
			t.Error("another is unlocked too")
		}
	}
}

// No result of the throttle reveals whether a name exists.
func TestTheThrottleTreatsNamesAlikeWhetherTheyExistOrNot(t *testing.T) {
	b := newBench()
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 20_000 {
		// Each name has its own addresses, so that its guesses don't count against the other.
		i, wrong := random.IntN(40), random.IntN(10) > 0
		var refused, locks [2]string
		for k, c := range []claim{named("user1"), named("ghost1")} {
			g := b.begin(c, fmt.Sprint("192.0.", k, ".", i))
			refused[k] = fmt.Sprint(g.refused, g.behind)
			if wrong {
				locks[k] = fmt.Sprint(len(g.wrong()))
			}
			g.giveBack()
		}
		if refused[0] != refused[1] || locks[0] != locks[1] {
			t.Fatalf("step %d: a user who exists: %s %s; one who does not: %s %s",
				step, refused[0], locks[0], refused[1], locks[1])
		}
		b.clock.Advance(time.Duration(random.IntN(4000)) * time.Millisecond)
	}
}

func TestARuleThatIsSwitchedOffCountsNothing(t *testing.T) {
	b := newBench()
	b.values.Address.Failures, b.values.Principal.Failures, b.values.Pair.Failures = 0, 0, 0
	if n := b.guesses(named("user1"), "192.0.2.1", 1000); n != 1000 || b.size() != 0 {
		t.Errorf("%d guesses, %d counters", n, b.size())
	}
	if !b.login(t, named("user1"), "192.0.2.1") {
		t.Error("not logged in")
	}
}

func TestTheThrottlesTablesAreBounded(t *testing.T) {
	if maxNetworks != 50_000 || maxStrangers != 4_096 || maxPairs != 128 || maxUsual != 8 {
		t.Error("the bounds are not those that docs/operations.md tells")
	}
}

func BenchmarkAFailureInAFullTable(t *testing.B) {
	b := newBench()
	b.values.Address.Failures = 2
	for i := range 2 * maxNetworks {
		b.fail(named(fmt.Sprint("made up ", i)), address(i))
	}
	i := 2 * maxNetworks
	for t.Loop() {
		b.fail(named(fmt.Sprint("made up ", i)), address(i))
		i++
	}
}

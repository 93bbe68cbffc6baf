//go:build soak

package identity

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/ldap/ldaptest"
)

const (
	each = 1000 // logins of each kind
	// senders is the number of concurrent logins. Most of the time they wait for the answer.
	senders = 8
	// chance is the probability with which a right server fails the test, for all pairs of kinds together.
	chance = 0.001
)

// kind is one kind of failed login, with the times of its answers in seconds.
type kind struct {
	name, user, password string
	address              func(i int) string
	took                 []float64
}

// anywhere returns a different address for each login, so that no login meets a lock.
func anywhere(i int) string { return fmt.Sprintf("127.1.%d.%d", i/250, i%250+1) }

// distance is the statistic of Kolmogorov and Smirnov for two samples: the greatest difference of their
// distributions, 0 to 1. It sorts both.
func distance(a, b []float64) float64 {
	slices.Sort(a)
	slices.Sort(b)
	most, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		at := min(a[i], b[j])
		for i < len(a) && a[i] == at {
			i++
		}
		for j < len(b) && b[j] == at {
			j++
		}
		most = max(most, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return most
}

// critical is the distance that two samples of the size n from one distribution exceed with the probability p.
func critical(n int, p float64) float64 { return math.Sqrt(-math.Log(p/2) / 2 * 2 / float64(n)) }

// A user with a policy that never locks it.
const openPolicy = `dn: cn=open,ou=policies,` + ldaptest.Base + `
objectClass: device
objectClass: pwdPolicy
cn: open
pwdAttribute: userPassword
pwdLockout: FALSE

`

// timed starts a server with local users and a directory, and returns the kinds of failed logins of each source
// of passwords. Except for wrong, every kind has the right password, if there is one.
func timed(t *testing.T) (*node, []*kind) {
	t.Helper()
	bind := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(bind, []byte(ldaptest.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	d := ldaptest.Start(t, ldaptest.Options{LDIF: openPolicy +
		ldaptest.User("erin", "pwdPolicySubentry: cn=open,ou=policies,"+ldaptest.Base+"\n")})
	n := newNode(t, configuration(t, "lockout-failures: 5\nlockout-duration: 24h\nlockout-user-failures: 1000000\n"+
		"lockout-address-failures: 1000000\n", fmt.Sprintf("  ldap: [{domain: corp.example, servers: [%q], ca: %q, "+
		"user-base: %q, user-filter: \"(uid={name})\", bind-dn: %q, bind-password-file: %q}]\n", d.LDAPS, d.CA,
		ldaptest.People, ldaptest.Service, bind)))
	const password = "a long password of a user 9"
	token := n.admin()
	for _, user := range []string{"wrong", "disabled", "locked"} {
		n.call(token, "HostLocalAccountManager/ha-localacctmgr/CreateUser",
			fmt.Sprintf(`{"user":{"_typeName":"HostAccountSpec","id":%q,"password":%q}}`, user, password))
	}
	n.call(token, "HostLocalAccountManager/ha-localacctmgr/DisableUser", `{"userName":"disabled"}`)
	const lockedAt = "127.9.0.1"
	for range 5 {
		for _, l := range [][2]string{{lockedAt, "locked"}, {anywhere(0), `corp.example\dave`}} {
			if _, _, err := n.fails(l[0], l[1], "not the password"); err != nil {
				t.Fatal(err)
			}
		}
	}
	one := func(int) string { return lockedAt }
	return n, []*kind{
		{name: "local, wrong password", user: "wrong", password: "not the password", address: anywhere},
		{name: "local, unknown", user: "nobody", password: password, address: anywhere},
		{name: "local, disabled", user: "disabled", password: password, address: anywhere},
		{name: "local, locked", user: "locked", password: password, address: one},
		{name: "LDAP, wrong password", user: `corp.example\erin`, password: "not the password", address: anywhere},
		{name: "LDAP, unknown", user: `corp.example\nobody`, password: password, address: anywhere},
		{name: "LDAP, disabled", user: `corp.example\carol`, password: "carol-pw", address: anywhere},
		{name: "LDAP, locked", user: `corp.example\dave`, password: "dave-pw", address: anywhere},
		{name: "operating system, no ticket", user: "root@localos", password: "not the ticket", address: anywhere},
		{name: "operating system, unknown", user: "nobody-here@localos", password: "x", address: anywhere},
	}
}

// fails sends a login that must fail, and returns the text of the answer and its time in seconds. While the server
// is too busy to check a password, it sends the login again.
func (n *node) fails(address, user, password string) (string, float64, error) {
	tr := loopback(address)
	defer tr.CloseIdleConnections()
	r := viJSON("SessionManager/SessionManager/Login", "", fmt.Sprintf(`{"userName":%q,"password":%q}`, user, password))
	for range 100 {
		began := time.Now()
		a, err := n.try(tr, r)
		took := time.Since(began).Seconds()
		if err != nil {
			return "", 0, err
		}
		switch a.status {
		case http.StatusInternalServerError:
			return a.body, took, nil
		case http.StatusServiceUnavailable:
			time.Sleep(time.Second)
		default:
			return "", 0, fmt.Errorf("status %d: %s", a.status, a.body)
		}
	}
	return "", 0, errors.New("the server was busy 100 times")
}

// The test compares the times of each kind with those of each other kind of its source by the statistic of
// Kolmogorov and Smirnov for two samples. The kinds are sent in a random order, so that other work of the
// machine delays all of them alike. The sources are not compared: the name of a user tells its source, and on
// a busy machine a hash takes longer than the period of the answers.
func TestAFailedPasswordHasOneFaultAndOneTextAndNoTimeOfItsOwn(t *testing.T) {
	n, kinds := timed(t)
	order := make([]int, 0, each*len(kinds))
	for i := range cap(order) {
		order = append(order, i)
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	work := make(chan int)
	var mu sync.Mutex // guards texts, errs and the times
	texts := map[string]string{}
	var failed error
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range work {
				k := kinds[i%len(kinds)]
				text, took, err := n.fails(k.address(i/len(kinds)), k.user, k.password)
				mu.Lock()
				if err != nil {
					failed = fmt.Errorf("%s: %w", k.name, err)
				}
				texts[text] = k.name
				k.took = append(k.took, took)
				mu.Unlock()
			}
		})
	}
	for _, i := range order {
		work <- i
	}
	close(work)
	wg.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	if len(texts) != 1 {
		t.Errorf("there are %d answers: %v", len(texts), texts)
	}
	sources := [][]*kind{kinds[:4], kinds[4:8], kinds[8:]}
	limit := critical(each, chance/13) // six pairs in the first two sources, and one in the third
	for _, source := range sources {
		for i, a := range source {
			slices.Sort(a.took)
			t.Logf("%-28s median %.4f s, p99 %.4f s", a.name, a.took[each/2], a.took[each*99/100])
			for _, b := range source[:i] {
				if d := distance(a.took, b.took); d > limit {
					t.Errorf("%s, %s: the distance of the times is %.3f, more than %.3f", a.name, b.name, d, limit)
				}
			}
		}
	}
	t.Logf("the distance of the two sources is %.3f", distance(sources[0][0].took, sources[1][0].took))
}

package jwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

const (
	maxGroups    = 500
	maxAudiences = 32
	maxFullName  = 256 // bytes
)

// identify checks the claims of a token whose signature is good, and returns whom they name.
func (i *issuer) identify(c object, now time.Time) (Verified, error) {
	if c["cnf"] != nil {
		return Verified{}, errors.New("the token is bound to a key, and the proof of that key is not supported")
	}
	if c["events"] != nil {
		return Verified{}, errors.New("the token is a notice of an event, such as a logout")
	}
	// The library has checked the issuer and the audience as well. It compares the names of claims
	// without case and makes an exception for one issuer.
	if issuer, ok := c.text("iss"); !ok || issuer != i.URL {
		return Verified{}, errors.New("the issuer is another")
	}
	if err := i.audience(c); err != nil {
		return Verified{}, err
	}
	expires, err := i.times(c, now)
	if err != nil {
		return Verified{}, err
	}
	name, err := i.name(c)
	if err != nil {
		return Verified{}, err
	}
	groups, err := i.groups(c)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{
		Identity: session.Identity{Name: name, Groups: groups}, NotAfter: expires, ends: i.UntilTokenExpires,
	}
	v.Subject, _ = c.text("sub")
	if full, ok := c.text("name"); ok && len(full) <= maxFullName && principal.ValidText(full) {
		v.Identity.FullName = full
	}
	return v, nil
}

func (i *issuer) audience(c object) error {
	all, ok := c.texts("aud")
	switch {
	case !ok || len(all) > maxAudiences:
		return errors.New("aud is not a text or a list of texts, or it is too long")
	case !slices.Contains(all, i.Audience):
		return fmt.Errorf("the token is not for the audience %q", i.Audience)
	case len(all) > 1:
		if party, ok := c.text("azp"); !ok || party != i.Audience {
			return fmt.Errorf("the token is for several audiences, and azp is not %q", i.Audience)
		}
	}
	return nil
}

// times checks that the token is valid now, and returns when it expires.
func (i *issuer) times(c object, now time.Time) (expires time.Time, err error) {
	at := map[string]time.Time{}
	for _, name := range []string{"exp", "iat", "nbf"} {
		if c[name] == nil && name == "nbf" {
			continue
		}
		if at[name], err = c.time(name); err != nil {
			return time.Time{}, err
		}
	}
	expires, skew := at["exp"], i.Skew
	if i.UntilTokenExpires {
		skew = 0 // the session would have ended before it began
	}
	switch {
	case !at["iat"].Before(expires), !at["nbf"].Before(expires): // the skew could hide that
		return time.Time{}, errors.New("the token expires before it is valid")
	case !now.Before(expires.Add(skew)):
		return time.Time{}, fmt.Errorf("the token expired at %s", expires.UTC().Format(time.RFC3339))
	case now.Add(i.Skew).Before(at["iat"]), now.Add(i.Skew).Before(at["nbf"]):
		return time.Time{}, errors.New("the token is not valid yet: do the clocks of issuer and server differ?")
	}
	return expires, nil
}

// maxTime is the last second of the year 9999, as a Unix time.
const maxTime = 253402300799

// time returns the claim with the name, a number of seconds that may have a fraction.
func (o object) time(name string) (time.Time, error) {
	var seconds float64
	if raw := o[name]; len(raw) == 0 || json.Unmarshal(raw, &seconds) != nil || raw[0] == 'n' || // null
		seconds < 0 || seconds > maxTime {
		return time.Time{}, fmt.Errorf("%s is missing, or not a time", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// name returns the principal that the claims name. The user name of a service account of Kubernetes is
// its sub as it is, for example `system:serviceaccount:backup:runner`.
func (i *issuer) name(c object) (principal.Name, error) {
	user, ok := c.text(i.NameClaim)
	if !ok {
		return principal.Name{}, fmt.Errorf("the claim %q is missing, or not a text", i.NameClaim)
	}
	if i.UPN {
		at := strings.LastIndexByte(user, '@')
		if at < 0 || !strings.EqualFold(user[at+1:], i.domain) {
			return principal.Name{}, fmt.Errorf("the claim %q is not a name in the domain %s", i.NameClaim, i.domain)
		}
		user = user[:at]
	}
	if err := principal.CheckNew(user, maxName(i.domain)); err != nil {
		return principal.Name{}, fmt.Errorf("the claim %q: %w", i.NameClaim, err)
	}
	return principal.Name{Domain: i.domain, User: user}, nil
}

// groups returns the groups that the claims name, each once and in order. A name that no group can have
// here is left out: no permission can be for it, so its group can only be missed. Too many groups are an
// error, because a part of them would be an accident.
func (i *issuer) groups(c object) ([]string, error) {
	if i.GroupsClaim == "" || c[i.GroupsClaim] == nil {
		return nil, nil
	}
	all, ok := c.texts(i.GroupsClaim)
	if !ok {
		return nil, fmt.Errorf("the claim %q is not a text or a list of texts", i.GroupsClaim)
	}
	if len(all) > maxGroups {
		return nil, fmt.Errorf("the claim %q has more than %d groups", i.GroupsClaim, maxGroups)
	}
	var groups []string
	for _, g := range all {
		if principal.CheckNew(g, maxName(i.domain)) == nil {
			groups = append(groups, principal.Name{Domain: i.domain, User: g}.String())
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

package sspi

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// The mechanisms of NTLM and of Windows' own negotiation.
func ntlm() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 10} }
func negoEx() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 30} }

func TestATicketNamesItsUserInTheDomainOfTheRealm(t *testing.T) {
	k := newKDC(t)
	for name, token := range map[string][]byte{
		"Kerberos alone":        raw(t, k.ap(nil)),
		"negotiated":            initial(t, raw(t, k.ap(nil)), kerberos(), ntlm()),
		"negotiated by Windows": initial(t, raw(t, k.ap(nil)), legacyKerberos(), kerberos(), negoEx(), ntlm()),
		"the second leg":        later(t, raw(t, k.ap(nil))),
		"another case of service": raw(t, k.ap(func(r *request) {
			r.finish = func(a *messages.APReq) { a.Ticket.SName.NameString[1] = "VIGATE.corp.example" }
		})),
		"no version of the key": raw(t, k.ap(func(r *request) {
			r.finish = func(a *messages.APReq) { a.Ticket.EncPart.KVNO = 0 }
		})),
		"mutual authentication wanted": raw(t, k.ap(func(r *request) {
			r.finish = func(a *messages.APReq) { types.SetFlag(&a.APOptions, flags.APOptionMutualRequired) }
		})),
	} {
		g, err := k.method().Authenticate(t.Context(), attempt(token))
		if err != nil || g.Identity.Name.String() != `CORP.EXAMPLE\ann` || len(g.Changes) != 1 ||
			g.Scope != (session.Scope{Domain: "CORP.EXAMPLE"}) {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

func TestAClientThatOffersKerberosBehindNTLMIsAskedForKerberos(t *testing.T) {
	k := newKDC(t)
	m := k.method()
	for name, token := range map[string][]byte{
		"NTLM first":       initial(t, []byte("NTLMSSP\x00\x01\x00\x00\x00"), ntlm(), kerberos()),
		"NegoEx first":     initial(t, []byte("NEGOEXTS"), negoEx(), kerberos(), ntlm()),
		"no token at all":  initial(t, nil, kerberos()),
		"NTLM, no token":   initial(t, nil, ntlm(), kerberos()),
		"the older number": initial(t, nil, ntlm(), legacyKerberos(), kerberos()),
	} {
		_, err := try(t, m, token)
		var more *login.Continue
		if !errors.As(err, &more) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := "a1143012a0030a0101a10b06092a864886f712010202"
		if name == "the older number" {
			want = "a1143012a0030a0101a10b06092a864882f712010202"
		}
		if got := hex.EncodeToString(more.Token.Reveal()); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTokensThatAreNotKerberosAreRefused(t *testing.T) {
	k := newKDC(t)
	m := k.method()
	good := raw(t, k.ap(nil))
	// With an empty list of mechanisms, the acceptor of the library panics on these 18 bytes.
	empty, err := hex.DecodeString("601006062b0601050502a0063004a0023000")
	if err != nil || len(empty) != 18 {
		t.Fatal(len(empty), err)
	}
	many := make([]asn1.ObjectIdentifier, maxMechanisms+1)
	for i := range many {
		many[i] = kerberos()
	}
	for name, token := range map[string][]byte{
		"nothing":              nil,
		"no mechanism":         empty,
		"NTLM alone":           []byte("NTLMSSP\x00\x01\x00\x00\x00"),
		"NTLM negotiated":      initial(t, []byte("NTLMSSP\x00\x01\x00\x00\x00"), ntlm()),
		"NTLM in the header":   wrap(t, ntlm(), []byte("NTLMSSP\x00")),
		"too many mechanisms":  initial(t, good, many...),
		"data behind it":       append(bytes.Clone(good), 0),
		"data behind request":  raw(t, append(k.ap(nil), 0)),
		"data behind an offer": wrap(t, spnego(), append(tlv(t, asn1.ClassContextSpecific, 0, []byte{0x30, 0}), 0)),
		"an answer":            wrap(t, kerberos(), append([]byte{2, 0}, k.ap(nil)...)),
		"an error":             wrap(t, kerberos(), append([]byte{3, 0}, k.ap(nil)...)),
		"no token id":          wrap(t, kerberos(), []byte{1}),
		"a request alone":      k.ap(nil),
		"a second leg without": later(t, nil),
		"a second leg of NTLM": later(t, []byte("NTLMSSP\x00\x03")),
		"nested negotiations":  initial(t, initial(t, good, kerberos()), kerberos()),
		"too long":             make([]byte, maxToken+1),
		"an endless length":    {0x60, 0x84, 0xff, 0xff, 0xff, 0xff, 0x06},
	} {
		if _, err := try(t, m, token); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Authenticate(t.Context(), login.Attempt{Credential: login.Password{User: "a"}}); !errors.Is(err,
		login.ErrNotMine) || m.Challenge() != "" {
		t.Error(err)
	}
}

func TestTicketsThatAreNotGoodAreRefused(t *testing.T) {
	k := newKDC(t)
	kt := k.entries(service, 1, aes256)
	kt.Entries = append(kt.Entries, k.entries(service, 1, rc4).Entries...)
	kt.Entries = append(kt.Entries, k.entries("krbtgt/"+realm, 1, aes256).Entries...)
	k.write(kt)
	m := k.method()
	now := k.clock.Now()
	name := func(parts ...string) types.PrincipalName { return types.PrincipalName{NameType: 1, NameString: parts} }
	finish := func(f func(*messages.APReq)) func(*request) { return func(r *request) { r.finish = f } }
	client := func(n types.PrincipalName) func(*request) {
		return func(r *request) { r.ticket.CName, r.auth.CName = n, n }
	}
	from := func(kind int32, address ...byte) func(*request) {
		return func(r *request) { r.ticket.CAddr = []types.HostAddress{{AddrType: kind, Address: address}} }
	}
	foreign := func(way string, flag int) func(*request) {
		return func(r *request) {
			r.serviceRealm, r.ticket.CRealm, r.auth.CRealm = realm, "OTHER.EXAMPLE", "OTHER.EXAMPLE"
			r.ticket.Transited = messages.TransitedEncoding{TRType: 1, Contents: []byte(way)}
			types.SetFlag(&r.ticket.Flags, flag)
		}
	}
	m.realms["OTHER.EXAMPLE"] = "OTHER.EXAMPLE"
	for what, c := range map[string]struct {
		edit func(*request)
		want string // of the cause; empty: the login is good
	}{
		"as it is":            {nil, ""},
		"another service":     {func(r *request) { r.service = "host/vigate.corp.example" }, "no key for the service"},
		"a ticket of the KDC": {func(r *request) { r.service = "krbtgt/" + realm }, "no key for the service"},
		"another service's key": {func(r *request) {
			r.service = "HTTP/other"
			r.finish = func(a *messages.APReq) { a.Ticket.SName = name("HTTP", "vigate.corp.example") }
		}, "integrity"},
		"another realm":       {func(r *request) { r.serviceRealm = "OTHER.EXAMPLE" }, "no key for the service"},
		"another version":     {func(r *request) { r.version = 2 }, "no key for the service"},
		"RC4":                 {func(r *request) { r.encryption = rc4 }, "encryption 23 is not accepted"},
		"RC4 for the session": {func(r *request) { r.session = rc4 }, "encryption 23 is not accepted"},
		"RC4 for the session, hidden": {func(r *request) {
			r.session, r.finish = rc4, func(a *messages.APReq) { a.EncryptedAuthenticator.EType = aes256 }
		}, "session's key is not accepted"},
		"no service": {finish(func(a *messages.APReq) { a.Ticket.SName.NameString = nil }), "no service"},
		"many parts of service": {finish(func(a *messages.APReq) {
			a.Ticket.SName.NameString = strings.Split("a/b/c/d/e/f/g/h/i", "/")
		}), "no service"},
		"from user to user": {finish(func(a *messages.APReq) {
			types.SetFlag(&a.APOptions, flags.APOptionUseSessionKey)
		}), "user to user"},
		"another version of Kerberos": {finish(func(a *messages.APReq) { a.Ticket.TktVNO = 4 }), "version"},
		"an empty ticket":             {finish(func(a *messages.APReq) { a.Ticket.EncPart.Cipher = nil }), "too short"},
		"a short authenticator": {finish(func(a *messages.APReq) {
			a.EncryptedAuthenticator.Cipher = a.EncryptedAuthenticator.Cipher[:20]
		}), "too short"},
		"a ticket with one bit changed": {finish(func(a *messages.APReq) {
			a.Ticket.EncPart.Cipher[40] ^= 1
		}), "integrity"},
		"an authenticator with one bit changed": {finish(func(a *messages.APReq) {
			a.EncryptedAuthenticator.Cipher[40] ^= 1
		}), "integrity"},
		"expired":              {func(r *request) { r.ticket.EndTime = now.Add(-time.Minute) }, "expired"},
		"expired a moment ago": {func(r *request) { r.ticket.EndTime = now.Add(-59 * time.Second) }, ""},
		"early": {func(r *request) {
			r.ticket.StartTime = now.Add(61 * time.Second)
		}, "not valid yet"},
		"invalid": {func(r *request) {
			types.SetFlag(&r.ticket.Flags, flags.Invalid)
		}, "not valid yet"},
		"an old authenticator": {func(r *request) {
			r.auth.CTime, r.auth.Cusec = now.Add(-time.Minute), 0
		}, "clocks"},
		"one from the future":            {func(r *request) { r.auth.CTime = now.Add(time.Minute) }, "clocks"},
		"an authenticator of before":     {func(r *request) { r.auth.CTime = now.Add(-59 * time.Second) }, ""},
		"too many microseconds":          {func(r *request) { r.auth.Cusec = 1_000_000 }, "well-formed"},
		"negative microseconds":          {func(r *request) { r.auth.Cusec = -1 }, "well-formed"},
		"another client's authenticator": {func(r *request) { r.auth.CName = name("bob") }, "another client"},
		"another realm's authenticator":  {func(r *request) { r.auth.CRealm = "OTHER.EXAMPLE" }, "another client"},
		"an unknown realm": {func(r *request) {
			r.ticket.CRealm, r.auth.CRealm = "X.EXAMPLE", "X.EXAMPLE"
		}, "not configured"},
		"the realm in lower case": {func(r *request) {
			r.ticket.CRealm, r.auth.CRealm = "corp.example", "corp.example"
		}, "not configured"},
		"another realm, by others": {foreign("MIDDLE.EXAMPLE", 31), "by other realms"},
		"the service's realm in lower case": {func(r *request) {
			r.serviceRealm = "corp.example"
		}, "no key for the service"},
		"an instance":               {client(name("ann", "admin")), "instance"},
		"a slash in the name":       {client(name("ann/admin")), "instance"},
		"a host":                    {client(name("host", "node1.corp.example")), "instance"},
		"nobody":                    {client(name("WELLKNOWN", "ANONYMOUS")), "instance"},
		"no client":                 {client(name()), "no client"},
		"an empty client":           {client(name("")), "empty"},
		"a domain in the name":      {client(name(`VSPHERE.LOCAL\administrator`)), "characters"},
		"a user@domain":             {client(name("administrator@vsphere.local")), "characters"},
		"a control character":       {client(name("ann\n")), "character"},
		"a zero byte":               {client(name("ann\x00")), "character"},
		"a name that is too long":   {client(name(strings.Repeat("a", 512))), "too long"},
		"a space behind":            {client(name("ann ")), "space"},
		"a letter that looks alike": {client(name("\u0430nn")), "scripts"}, // the first letter is Cyrillic
		"a letter of another width": {client(name("\uff41nn")), "NFKC"},
		"bytes that are not UTF-8":  {client(name("ann\xff")), "UTF-8"},
		"its address":               {from(addressIPv4, 192, 0, 2, 7), ""},
		"another address":           {from(addressIPv4, 192, 0, 2, 8), "another address"},
		"half an address":           {from(addressIPv4, 192, 0), "another address"},
		"an address as IPv6":        {from(addressIPv6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7), ""},
		"a name of NetBIOS":         {from(20, []byte("NODE1")...), "another address"},
	} {
		who, err := try(t, m, raw(t, k.ap(c.edit)))
		switch {
		case c.want == "" && (err != nil || who != `CORP.EXAMPLE\ann`):
			t.Errorf("%s: %v", what, err)
		case c.want != "" && (!errors.Is(err, login.ErrRejected) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	for what, edit := range map[string]func(*request){
		"checked by the KDC": foreign("MIDDLE.EXAMPLE", flags.TransitedPolicyChecked),
		"trusted directly":   foreign("", 31),
	} {
		if who, err := try(t, m, raw(t, k.ap(edit))); err != nil || who != `OTHER.EXAMPLE\ann` {
			t.Errorf("%s: %s, %v", what, who, err)
		}
	}
}

func TestARealmWithAKeyHereIsNotSpokenForByAnother(t *testing.T) {
	k := newKDC(t)
	foreign := func(r *request) { r.ticket.CRealm, r.auth.CRealm = "OTHER.EXAMPLE", "OTHER.EXAMPLE" }
	enter := func(m *Method) (string, error) { return try(t, m, raw(t, k.ap(foreign))) }
	m := k.method()
	m.realms["OTHER.EXAMPLE"] = "OTHER.EXAMPLE"
	if who, err := enter(m); err != nil || who != `OTHER.EXAMPLE\ann` {
		t.Errorf("a user of a realm that the KDC trusts: %s, %v", who, err)
	}
	kt, other := k.entries(service, 1, aes256), k.entries("HTTP/other", 1, aes256)
	other.Entries[0].Principal.Realm = "OTHER.EXAMPLE"
	kt.Entries = append(kt.Entries, other.Entries...)
	k.write(kt)
	k.clock.Advance(filewatch.Period)
	if who, err := enter(m); err == nil || !strings.Contains(err.Error(), "own KDC") {
		t.Errorf("a user of a realm that has a KDC of its own: %s, %v", who, err)
	}
	if who, err := try(t, m, raw(t, k.ap(nil))); err != nil || who != `CORP.EXAMPLE\ann` {
		t.Errorf("a user of the first realm: %s, %v", who, err)
	}
}

// The store outlives the method, as it does when a server starts anew, and is shared by the nodes of a
// cluster.
func TestAnAuthenticatorIsUsedOnce(t *testing.T) {
	k := newKDC(t)
	durable := storetest.NewMemory(k.clock.Now)
	node := func() (*Method, *store.Mirror) {
		m := k.method()
		mirror := store.NewMirror(durable, m.spent.View())
		storetest.Follow(t, mirror)
		return m, mirror
	}
	first, mirror := node()
	ap := k.ap(nil)
	g, err := first.Authenticate(t.Context(), attempt(raw(t, ap)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try(t, first, raw(t, ap)); err != nil {
		t.Errorf("no session has begun with it: %v", err)
	}
	if _, err := mirror.Commit(t.Context(), g.Changes...); err != nil {
		t.Fatal(err)
	}
	second, _ := node()
	for name, m := range map[string]*Method{"the same node": first, "another node": second} {
		for form, token := range map[string][]byte{
			"again": raw(t, ap), "negotiated": initial(t, raw(t, ap), kerberos()), "second leg": later(t, raw(t, ap)),
		} {
			_, err := try(t, m, token)
			if !errors.Is(err, login.ErrRejected) || !strings.Contains(err.Error(), "used") {
				t.Errorf("%s, %s: %v", name, form, err)
			}
		}
		if _, err := try(t, m, raw(t, k.ap(nil))); err != nil {
			t.Errorf("%s: a new authenticator: %v", name, err)
		}
	}
	if end := g.Changes[0].Record.Expires; end.Before(k.clock.Now().Add(2 * DefaultSkew)) {
		t.Errorf("it is forgotten at %v", end)
	}
}

func TestTheKeytabIsReadAgainWhenItChanges(t *testing.T) {
	k := newKDC(t)
	m := k.method()
	k.write(k.entries(service, 2, 17, aes256))
	second := func(encryption int32) []byte {
		return raw(t, k.ap(func(r *request) { r.version, r.encryption = 2, encryption }))
	}
	if _, err := try(t, m, second(aes256)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("within a second: %v", err)
	}
	k.clock.Advance(filewatch.Period)
	for _, encryption := range []int32{17, aes256} {
		if _, err := try(t, m, second(encryption)); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(k.keytab, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.clock.Advance(filewatch.Period)
	if _, err := try(t, m, second(aes256)); err != nil {
		t.Errorf("the file is damaged: %v", err)
	}
	if err := os.Remove(k.keytab); err != nil {
		t.Fatal(err)
	}
	k.clock.Advance(filewatch.Period)
	if _, err := try(t, m, second(aes256)); err != nil {
		t.Errorf("the file is away: %v", err)
	}
}

func TestEveryTypeOfAESIsAccepted(t *testing.T) {
	k := newKDC(t)
	k.write(k.entries(service, 1, 17, 18, 19, 20))
	m := k.method()
	for ticket := range encryptions {
		for session := range encryptions {
			token := raw(t, k.ap(func(r *request) { r.encryption, r.session = ticket, session }))
			if _, err := try(t, m, token); err != nil {
				t.Errorf("%d and %d: %v", ticket, session, err)
			}
		}
	}
}

func TestSettingsThatCannotBeUsedAreErrors(t *testing.T) {
	k := newKDC(t)
	file := func(name string, mode os.FileMode, kt *keytab.Keytab) string {
		path := filepath.Join(t.TempDir(), name)
		b, err := kt.Marshal()
		if err == nil {
			err = os.WriteFile(path, b, mode)
		}
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	realms := map[string]string{realm: "corp.example"}
	damaged := filepath.Join(t.TempDir(), "damaged")
	const content = "a secret in the file"
	if err := os.WriteFile(damaged, append([]byte{5, 2, 0, 0, 1, 0}, content...), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Service{
		"no file":           {Keytab: "/nowhere/keytab", Realms: realms},
		"RC4 alone":         {Keytab: file("rc4", 0o600, k.entries(service, 1, rc4)), Realms: realms},
		"no key":            {Keytab: file("empty", 0o600, keytab.New()), Realms: realms},
		"the KDC's key":     {Keytab: file("kdc", 0o600, k.entries("krbtgt/"+realm, 1, aes256)), Realms: realms},
		"a damaged file":    {Keytab: damaged, Realms: realms},
		"others may change": {Keytab: file("open", 0o666, k.entries(service, 1, aes256)), Realms: realms},
		"no realm":          {Keytab: k.keytab},
		"no domain":         {Keytab: k.keytab, Realms: map[string]string{realm: ""}},
		"a domain with @":   {Keytab: k.keytab, Realms: map[string]string{realm: "a@b"}},
		"a negative skew":   {Keytab: k.keytab, Realms: realms, Skew: -1},
	} {
		_, err := New(s, nil, nil)
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), content) {
			t.Errorf("%s: the error shows the file", name)
		}
	}
	var log bytes.Buffer
	readable := Service{Keytab: file("readable", 0o644, k.entries(service, 1, aes256)), Realms: realms}
	_, err := New(readable, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || !strings.Contains(log.String(), "can be read by other accounts") {
		t.Errorf("%v, %s", err, log.String())
	}
}

// Each process of a fuzzing run has keys of its own. So what is fuzzed is the change of a good token, which each
// process makes itself.
func FuzzAChangedTokenFailsOrNamesTheSamePrincipal(f *testing.F) {
	k := newKDC(f)
	m := k.method()
	plain := raw(f, k.ap(nil))
	good := [][]byte{
		plain, initial(f, plain, kerberos(), ntlm()), initial(f, nil, ntlm(), kerberos()), later(f, plain),
		initial(f, nil), wrap(f, kerberos(), []byte{1, 0}),
	}
	for i, token := range good {
		f.Add(uint8(i), uint16(0), uint16(0), []byte{})
		f.Add(uint8(i), uint16(len(token)/2), uint16(1), []byte{0})
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, put []byte) {
		token := good[int(which)%len(good)]
		from := min(int(at), len(token))
		token = slices.Concat(token[:from], put, token[min(from+int(cut), len(token)):])
		who, err := try(t, m, token)
		if err == nil && who != `CORP.EXAMPLE\ann` {
			t.Errorf("%x names %s", token, who)
		}
		var more *login.Continue
		if err != nil && !errors.Is(err, login.ErrRejected) && !errors.As(err, &more) {
			t.Error(err)
		}
	})
}

func FuzzAKeytabIsReadOrRefused(f *testing.F) {
	k := newKDC(f)
	for _, encryption := range []int32{17, aes256, rc4} {
		b, err := k.entries(service, 1, encryption).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if keys, _, err := readKeytab(b); err == nil && len(keys) == 0 {
			t.Error("a keytab without keys is accepted")
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	k := newKDC(b)
	m := k.method()
	a := attempt(initial(b, raw(b, k.ap(nil)), kerberos()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Authenticate(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

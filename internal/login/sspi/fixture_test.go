package sspi

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/testclock"
)

const (
	realm   = "CORP.EXAMPLE"
	service = "HTTP/vigate.corp.example"
	aes256  = 18
	rc4     = 23
)

// kdc makes tickets and the requests of clients. What it makes is checked against a real KDC elsewhere.
type kdc struct {
	t      testing.TB
	clock  *testclock.Clock
	keytab string
}

func newKDC(t testing.TB) *kdc {
	t.Helper()
	k := &kdc{t: t, clock: testclock.New(time.Time{}), keytab: filepath.Join(t.TempDir(), "http.keytab")}
	k.write(k.entries(service, 1, aes256))
	return k
}

// entries is a keytab with a key of each type of encryption for the service.
func (k *kdc) entries(service string, version uint8, encryptions ...int32) *keytab.Keytab {
	k.t.Helper()
	kt := keytab.New()
	for _, e := range encryptions {
		made := time.Unix(int64(version), 0)
		if err := kt.AddEntry(service, realm, "secret of "+service, made, version, e); err != nil {
			k.t.Fatal(err)
		}
	}
	return kt
}

// write replaces the service's keytab.
func (k *kdc) write(kt *keytab.Keytab) {
	k.t.Helper()
	b, err := kt.Marshal()
	if err == nil {
		err = os.WriteFile(k.keytab, b, 0o600)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kdc) method() *Method {
	k.t.Helper()
	s := Service{Keytab: k.keytab, Realms: map[string]string{realm: "corp.example"}}
	m, err := New(s, k.clock.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		k.t.Fatal(err)
	}
	m.Attach(&login.Spent{})
	return m
}

// request is a login that a test can change before it is encrypted.
type request struct {
	service, serviceRealm string
	encryption, session   int32 // types of encryption
	version               uint8
	ticket                messages.EncTicketPart
	auth                  types.Authenticator
	finish                func(*messages.APReq)
}

// ap makes an AP-REQ of ann, which edit may change.
func (k *kdc) ap(edit func(*request)) []byte {
	k.t.Helper()
	now := k.clock.Now()
	ann := types.NewPrincipalName(1, "ann")
	r := &request{
		service: service, serviceRealm: realm, encryption: aes256, session: aes256, version: 1,
		ticket: messages.EncTicketPart{Flags: types.NewKrbFlags(), CRealm: realm, CName: ann, AuthTime: now,
			StartTime: now, EndTime: now.Add(time.Hour), RenewTill: now.Add(time.Hour)},
		auth: types.Authenticator{AVNO: 5, CRealm: realm, CName: ann, CTime: now, Cusec: 7},
	}
	if edit != nil {
		edit(r)
	}
	r.ticket.Key = k.newKey(r.session)
	sname := types.NewPrincipalName(2, r.service)
	own := k.entries(r.service, r.version, r.encryption).Entries[0].Key
	part, err := crypto.GetEncryptedData(encode(k.t, r.ticket), own, 2, int(r.version))
	if err != nil {
		k.t.Fatal(err)
	}
	ticket := messages.Ticket{TktVNO: 5, Realm: r.serviceRealm, SName: sname, EncPart: part}
	a, err := messages.NewAPReq(ticket, r.ticket.Key, r.auth)
	if err != nil {
		k.t.Fatal(err)
	}
	if r.finish != nil {
		r.finish(&a)
	}
	b, err := a.Marshal()
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

// newKey makes a session key.
func (k *kdc) newKey(encryption int32) types.EncryptionKey {
	n := encryptions[encryption]
	if encryption == rc4 {
		n = 16
	}
	key := types.EncryptionKey{KeyType: encryption, KeyValue: make([]byte, n)}
	_, _ = rand.Read(key.KeyValue) // never fails
	return key
}

// encode encodes the part of a ticket that is encrypted. Package encoding/asn1 does not know the type
// GeneralString, whose number is 27.
func encode(t testing.TB, p messages.EncTicketPart) []byte {
	t.Helper()
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	in := func(tag int, b []byte) []byte { return tlv(t, asn1.ClassContextSpecific, tag, b) }
	list := func(parts ...[]byte) []byte { return tlv(t, asn1.ClassUniversal, 16, bytes.Join(parts, nil)) }
	number := func(n int32) []byte { return must(asn1.Marshal(int(n))) }
	octets := func(b []byte) []byte { return must(asn1.Marshal(b)) }
	general := func(s string) []byte { return must(asn1.Marshal(asn1.RawValue{Tag: 27, Bytes: []byte(s)})) }
	at := func(tag int, when time.Time) []byte {
		return in(tag, must(asn1.MarshalWithParams(when.UTC().Truncate(time.Second), "generalized")))
	}
	var names, addresses [][]byte
	for _, n := range p.CName.NameString {
		names = append(names, general(n))
	}
	for _, a := range p.CAddr {
		addresses = append(addresses, list(in(0, number(a.AddrType)), in(1, octets(a.Address))))
	}
	parts := [][]byte{
		in(0, must(asn1.Marshal(asn1.BitString{Bytes: p.Flags.Bytes, BitLength: p.Flags.BitLength}))),
		in(1, list(in(0, number(p.Key.KeyType)), in(1, octets(p.Key.KeyValue)))),
		in(2, general(p.CRealm)), in(3, list(in(0, number(p.CName.NameType)), in(1, list(names...)))),
		in(4, list(in(0, number(p.Transited.TRType)), in(1, octets(p.Transited.Contents)))),
		at(5, p.AuthTime), at(6, p.StartTime), at(7, p.EndTime), at(8, p.RenewTill),
	}
	if len(addresses) > 0 {
		parts = append(parts, in(9, list(addresses...)))
	}
	return tlv(t, asn1.ClassApplication, 3, list(parts...))
}

// wrap makes the initial token of a mechanism.
func wrap(t testing.TB, mechanism asn1.ObjectIdentifier, inner []byte) []byte {
	t.Helper()
	head, err := asn1.Marshal(mechanism)
	if err != nil {
		t.Fatal(err)
	}
	return tlv(t, asn1.ClassApplication, 0, append(head, inner...))
}

func tlv(t testing.TB, class, tag int, content []byte) []byte {
	t.Helper()
	b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: content})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raw is the token of Kerberos without a negotiation.
func raw(t testing.TB, ap []byte) []byte {
	t.Helper()
	return wrap(t, kerberos(), append([]byte{1, 0}, ap...))
}

// initial is the first token of a negotiation that offers the mechanisms.
func initial(t testing.TB, token []byte, mechanisms ...asn1.ObjectIdentifier) []byte {
	t.Helper()
	type first struct {
		Mechanisms []asn1.ObjectIdentifier `asn1:"explicit,tag:0"`
		Token      []byte                  `asn1:"explicit,optional,omitempty,tag:2"`
	}
	b, err := asn1.Marshal(first{mechanisms, token})
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, spnego(), tlv(t, asn1.ClassContextSpecific, 0, b))
}

// later is a token of a negotiation that is not the first.
func later(t testing.TB, token []byte) []byte {
	t.Helper()
	type next struct {
		Token []byte `asn1:"explicit,tag:2"`
	}
	b, err := asn1.Marshal(next{token})
	if err != nil {
		t.Fatal(err)
	}
	return tlv(t, asn1.ClassContextSpecific, 1, b)
}

func attempt(token []byte) login.Attempt {
	return login.Attempt{Credential: login.SSPI{Token: secret.NewBytes(token)}, Peer: peer.Peer{Address: "192.0.2.7"}}
}

// try logs in with the token and returns whom it names.
func try(t testing.TB, m *Method, token []byte) (string, error) {
	t.Helper()
	g, err := m.Authenticate(t.Context(), attempt(token))
	return g.Identity.Name.String(), err
}

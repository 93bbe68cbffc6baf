package sspi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/vigate/vigate/internal/peer"
)

// The numbers of RFC 4120 that are used here.
const (
	version         = 5
	invalidFlag     = 7
	transitedFlag   = 12
	sessionKeyFlag  = 1
	addressIPv4     = 2
	addressIPv6     = 24
	maxComponents   = 8
	minCipher       = 16 + 12 // a confounder and a checksum
	maxKeysTried    = 4
	maxMicroseconds = 999_999
)

// encryptions are the types of encryption that are accepted, by the length of their keys in bytes. Each
// is AES: with SHA-1 (RFC 3962), and with SHA-2 (RFC 8009).
var encryptions = map[int32]int{17: 16, 18: 32, 19: 16, 20: 32}

// proof is what a client has proved by a ticket and an authenticator.
type proof struct {
	realm         string
	client        []string
	made          time.Time // when the client made the authenticator
	authenticator string    // hash of the encrypted authenticator, which identifies it
}

// verify checks the ticket and the authenticator of an AP-REQ, in the order of RFC 4120 §3.2.3. The
// library only reads and decrypts them: its own check uses the clock of the system, and keeps what was
// used in memory.
func (m *Method) verify(request []byte, from peer.Peer) (proof, error) {
	var r messages.APReq
	if err := guarded("read request", func() error { return r.Unmarshal(request) }); err != nil {
		return proof{}, fmt.Errorf("read request: %w", err)
	}
	if err := wellFormed(&r); err != nil {
		return proof{}, err
	}
	if err := m.decryptTicket(&r.Ticket); err != nil {
		return proof{}, err
	}
	ticket := &r.Ticket.DecryptedEncPart
	if err := m.ticketValid(r.Ticket.Realm, ticket, from); err != nil {
		return proof{}, err
	}
	if ticket.CRealm != r.Ticket.Realm && m.keys.has(ticket.CRealm) {
		return proof{}, errors.New("the client's own KDC has a key of this service, and has not issued the ticket")
	}
	if r.EncryptedAuthenticator.EType != ticket.Key.KeyType {
		return proof{}, errors.New("the authenticator is not encrypted with the key of the ticket")
	}
	if err := guarded("decrypt authenticator", func() error {
		return r.DecryptAuthenticator(ticket.Key)
	}); err != nil {
		return proof{}, err
	}
	made, err := m.authenticatorValid(&r.Authenticator, ticket)
	if err != nil {
		return proof{}, err
	}
	sum := sha256.Sum256(r.EncryptedAuthenticator.Cipher)
	return proof{ticket.CRealm, ticket.CName.NameString, made, string(sum[:])}, nil
}

// wellFormed checks what is not encrypted. It protects the library from values that it does not expect.
func wellFormed(r *messages.APReq) error {
	service := r.Ticket.SName.NameString
	switch {
	case r.PVNO != version || r.Ticket.TktVNO != version:
		return errors.New("the request or its ticket is of another version of Kerberos")
	case len(r.APOptions.Bytes) == 0 || r.APOptions.At(sessionKeyFlag) != 0:
		return errors.New("the request has no options, or a ticket from user to user")
	case len(service) == 0 || len(service) > maxComponents:
		return errors.New("the ticket names no service")
	}
	for _, e := range []types.EncryptedData{r.Ticket.EncPart, r.EncryptedAuthenticator} {
		if encryptions[e.EType] == 0 {
			return fmt.Errorf("the type of encryption %d is not accepted", e.EType)
		}
		if len(e.Cipher) < minCipher {
			return errors.New("an encrypted part is too short")
		}
	}
	return nil
}

// decryptTicket decrypts the ticket with a key of the service that it is for. So it checks the service.
func (m *Method) decryptTicket(t *messages.Ticket) error {
	keys := m.keys.find(t)
	if len(keys) == 0 {
		return fmt.Errorf("there is no key for the service %.128q of the realm %.128q, version %d, encryption %d",
			t.SName.PrincipalNameString(), t.Realm, t.EncPart.KVNO, t.EncPart.EType)
	}
	var err error
	for _, k := range keys[:min(len(keys), maxKeysTried)] {
		if err = guarded("decrypt ticket", func() error {
			return t.Decrypt(types.EncryptionKey{KeyType: k.encryption, KeyValue: k.value.Reveal()})
		}); err == nil {
			return nil
		}
	}
	return err
}

// ticketValid checks a decrypted ticket of a service in the realm.
func (m *Method) ticketValid(realm string, t *messages.EncTicketPart, from peer.Peer) error {
	now, start := m.now(), t.StartTime
	if start.IsZero() {
		start = t.AuthTime
	}
	flag := func(i int) bool { return t.Flags.At(i) != 0 }
	switch {
	case flag(invalidFlag) || start.After(now.Add(m.skew)):
		return errors.New("the ticket is not valid yet")
	case !now.Before(t.EndTime.Add(m.skew)):
		return fmt.Errorf("the ticket expired at %s", t.EndTime.UTC().Format(time.RFC3339))
	case encryptions[t.Key.KeyType] == 0 || len(t.Key.KeyValue) != encryptions[t.Key.KeyType]:
		return fmt.Errorf("the type %d of the session's key is not accepted", t.Key.KeyType)
	case len(t.CName.NameString) == 0 || len(t.CName.NameString) > maxComponents:
		return errors.New("the ticket names no client")
	case t.CRealm != realm && len(t.Transited.Contents) > 0 && !flag(transitedFlag):
		return errors.New("the ticket came by other realms, and its KDC has not checked the way")
	case len(t.CAddr) > 0 && !slices.ContainsFunc(t.CAddr, func(a types.HostAddress) bool {
		return isAddress(a, from.Address)
	}):
		return errors.New("the ticket is for another address")
	}
	return nil
}

// isAddress reports whether an address of a ticket is the peer's.
func isAddress(a types.HostAddress, from string) bool {
	at, err := netip.ParseAddr(from)
	if err != nil || a.AddrType != addressIPv4 && a.AddrType != addressIPv6 {
		return false
	}
	allowed, ok := netip.AddrFromSlice(a.Address)
	return ok && allowed.Unmap() == at.Unmap().WithZone("")
}

// authenticatorValid checks a decrypted authenticator, and returns when the client made it.
func (m *Method) authenticatorValid(a *types.Authenticator, t *messages.EncTicketPart) (time.Time, error) {
	if a.AVNO != version || a.Cusec < 0 || a.Cusec > maxMicroseconds {
		return time.Time{}, errors.New("the authenticator is not well-formed")
	}
	if a.CRealm != t.CRealm || !slices.Equal(a.CName.NameString, t.CName.NameString) {
		return time.Time{}, errors.New("the authenticator is of another client than the ticket")
	}
	made, now := a.CTime.Add(time.Duration(a.Cusec)*time.Microsecond), m.now()
	if off := now.Sub(made); off >= m.skew || off <= -m.skew {
		return time.Time{}, fmt.Errorf("the clocks of client and server differ by %s", off.Abs().Round(time.Second))
	}
	return made, nil
}

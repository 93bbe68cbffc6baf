// Package signing keeps the keys with which the server's token service signs. All servers that share a
// store have the same keys: each of them signs with the current key, and trusts all of them.
//
// [Keys] is the view of the keys in the store. [Keys.Ensure] makes the first key and changes keys in
// time. A new key is trusted for a day before it signs, so that every server knows it by then. An old
// key is trusted until the last token that it signed has expired. Then it is removed. [Keys.Replace]
// changes keys at once, for example because somebody else may know the private key.
//
// The store holds the private keys as they are. Who can read the file of the embedded store, a backup of
// it, or the records in etcd can issue tokens for every user. So these need the same protection as the
// key of the server's TLS certificate. The package issues no tokens.
package signing

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/xmlsig"
)

const (
	// period is how long a key signs.
	period = 90 * 24 * time.Hour
	// notice is how long a key is trusted before it signs.
	notice = 24 * time.Hour
	// validity is how long the certificate of a key is valid. A server that was off for years still has
	// a key that signs until the next one does.
	validity = 10 * 365 * 24 * time.Hour
	// early is by how much the certificate's validity begins before the key was made: clocks differ.
	early = 24 * time.Hour
	bits  = 2048

	formatVersion = 1
)

// Options are the settings of Keys.
type Options struct {
	// Longest is the longest life of a token. A key is kept that long after it signed last.
	Longest time.Duration
	Now     func() time.Time // if nil, time.Now
	Logger  *slog.Logger     // if nil, slog.Default
}

// Keys are the keys of the token service. They are the view of store.SigningKey. All methods are safe
// for concurrent use. Signer and Ensure must not be called before Attach.
type Keys struct {
	longest time.Duration
	now     func() time.Time
	logger  *slog.Logger
	mirror  *store.Mirror

	mu      sync.RWMutex // guards all and version
	all     []*key       // by number, ascending; the slice is never changed in place
	version uint64       // the number of changes of all

	next []*key // the state that is being loaded; used by the mirror's goroutine only
	load bool   // a state is being loaded; likewise
}

// key is one key. It does not change.
type key struct {
	number   uint64
	revision store.Revision
	signs    time.Time // from when on
	signer   xmlsig.Signer
}

func (k *key) certificate() *x509.Certificate { return k.signer.Chain[0] }

func (k *key) id() string { return strconv.FormatUint(k.number, 10) }

// row is the record of a key. Its id is the key's number, so that of several servers that make the next
// key at the same time one succeeds.
type row struct {
	Key         []byte    `json:"key"`         // PKCS #8
	Certificate []byte    `json:"certificate"` // DER
	Signs       time.Time `json:"signs"`       // from when on
}

// New returns the keys. They are empty until the mirror feeds the view.
func New(o Options) *Keys {
	k := &Keys{longest: o.Longest, now: o.Now, logger: cmp.Or(o.Logger, slog.Default())}
	if k.now == nil {
		k.now = time.Now
	}
	return k
}

// Attach sets the mirror through which keys are made and removed. It must be called once.
func (k *Keys) Attach(m *store.Mirror) { k.mirror = m }

// View returns the view through which the mirror feeds the keys.
func (k *Keys) View() store.View {
	return store.NewView([]store.Kind{store.SigningKey}, k.reset, k.put, k.remove, k.whole)
}

// reset implements the view's Reset. Readers see the old keys until whole.
func (k *Keys) reset() { k.next, k.load = nil, true }

// put implements the view's Put. A record that can't be read is left out: tokens of this key are not
// accepted then.
func (k *Keys) put(r store.Record) {
	read, err := decode(r)
	if err != nil {
		k.logger.Error("a key of the token service can't be read", "record", r.ID, "err", err)
		return
	}
	k.edit(func(all []*key) []*key {
		i, _ := slices.BinarySearchFunc(all, read, byNumber)
		return slices.Insert(without(all, read.number), i, read)
	})
}

// remove implements the view's Delete.
func (k *Keys) remove(_ store.Kind, id string) {
	if number, err := strconv.ParseUint(id, 10, 64); err == nil {
		k.edit(func(all []*key) []*key { return without(all, number) })
	}
}

// whole implements the view's Whole.
func (k *Keys) whole() {
	if k.load {
		k.set(k.next)
		k.next, k.load = nil, false
	}
}

func byNumber(a, b *key) int { return cmp.Compare(a.number, b.number) }

func without(all []*key, number uint64) []*key {
	return slices.DeleteFunc(slices.Clone(all), func(a *key) bool { return a.number == number })
}

func (k *Keys) edit(change func([]*key) []*key) {
	if k.load {
		k.next = change(k.next)
		return
	}
	k.set(change(k.keys()))
}

func (k *Keys) set(all []*key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = all
	k.version++
}

// Version changes with each change of the keys that this server knows.
func (k *Keys) Version() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.version
}

func (k *Keys) keys() []*key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.all
}

// Certificates returns the certificates of all keys. A token that one of them has signed is ours.
func (k *Keys) Certificates() []*x509.Certificate {
	var all []*x509.Certificate
	for _, a := range k.keys() {
		all = append(all, a.certificate())
	}
	return all
}

// Signer returns the key that signs now, and makes one if there is none.
func (k *Keys) Signer(ctx context.Context) (xmlsig.Signer, error) {
	if s := current(k.keys(), k.now()); s != nil {
		return s.signer, nil
	}
	if err := k.Ensure(ctx); err != nil {
		return xmlsig.Signer{}, err
	}
	if s := current(k.keys(), k.now()); s != nil {
		return s.signer, nil
	}
	return xmlsig.Signer{}, errors.New("find key of the token service: there is none that can sign now")
}

// Require returns a condition for commits that depend on the key with the certificate: it is still
// trusted. It returns false if this server knows no such key.
func (k *Keys) Require(c *x509.Certificate) (store.Change, bool) {
	for _, a := range k.keys() {
		if c != nil && a.certificate().Equal(c) {
			return store.RequireAt(store.SigningKey, a.id(), a.revision), true
		}
	}
	return store.Change{}, false
}

// tolerance is by how much the clock of the server that made a key may be ahead of this one's.
const tolerance = time.Minute

// current returns the newest key that signs at the time, or nil. If none has begun to sign, as after a
// server with another clock has replaced all keys, it is the one that begins within the tolerance.
func current(all []*key, now time.Time) *key {
	for _, at := range []time.Time{now, now.Add(tolerance)} {
		for _, k := range slices.Backward(all) {
			c := k.certificate()
			if !at.Before(k.signs) && now.Before(c.NotAfter) && !now.Before(c.NotBefore) {
				return k
			}
		}
	}
	return nil
}

// Ensure makes the first key, makes the next key in time, and removes the keys whose tokens have all
// expired. It must be called at the start and then periodically, at least once in some hours.
func (k *Keys) Ensure(ctx context.Context) error {
	if err := k.add(ctx); err != nil {
		return fmt.Errorf("make key of the token service: %w", err)
	}
	if err := k.clean(ctx); err != nil {
		return fmt.Errorf("remove old key of the token service: %w", err)
	}
	return nil
}

// maxDamaged is how many records that can't be read a new key may have to pass.
const maxDamaged = 100

// add makes a key if one is due. If another server makes it at the same time, that one is used.
func (k *Keys) add(ctx context.Context) error {
	if _, due := k.due(); !due {
		return nil
	}
	// Another server may have made it. Ask before the costly work.
	if err := k.mirror.Sync(ctx); err != nil {
		return err
	}
	for range maxTries {
		signs, due := k.due()
		if !due {
			return nil
		}
		all := k.keys()
		number, made, err := k.create(ctx, all, signs)
		if err == nil {
			_, err = k.mirror.Commit(ctx, append(newest(all), made)...)
		}
		if err == nil {
			k.logger.Info("the token service has a new key", "number", number, "signs_from", signs)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// maxTries is how often a change of the keys is tried while other servers change them as well.
const maxTries = 5

var errContended = errors.New("other servers change the keys all the time")

// create returns the change that makes a key with the number after those of all keys. The error is
// store.ErrConflict, once this server knows of it, if there is a key that is not among all.
func (k *Keys) create(
	ctx context.Context, all []*key, signs time.Time,
) (number uint64, made store.Change, err error) {
	if number, err = k.unused(ctx, all); err != nil {
		return 0, made, err
	}
	value, err := generate(number, k.now(), signs)
	if err != nil {
		return 0, made, err
	}
	return number, store.Create(store.SigningKey, strconv.FormatUint(number, 10), value, time.Time{}), nil
}

// newest returns the condition that the newest key is still there. A number can be used again after its key
// was distrusted, so the absence of a record alone does not show that no other server has changed keys.
func newest(all []*key) []store.Change {
	if len(all) == 0 {
		return nil
	}
	last := all[len(all)-1]
	return []store.Change{store.RequireAt(store.SigningKey, last.id(), last.revision)}
}

// unused returns the next number after that of the newest key which no record has. Records that can't be
// read have numbers, too.
func (k *Keys) unused(ctx context.Context, all []*key) (uint64, error) {
	number := uint64(1)
	if len(all) > 0 {
		number = all[len(all)-1].number + 1
	}
	for last := number + maxDamaged; number < last; number++ {
		r, err := k.mirror.Get(ctx, store.SigningKey, strconv.FormatUint(number, 10))
		switch {
		case errors.Is(err, store.ErrNotFound):
			return number, nil
		case err != nil:
			return 0, err
		}
		if _, err := decode(r); err == nil { // another server has just made it
			return 0, cmp.Or(k.mirror.Sync(ctx), store.ErrConflict)
		}
	}
	return 0, errors.New("too many records of keys can't be read")
}

// due reports whether a key must be made now, and from when on it signs.
func (k *Keys) due() (signs time.Time, due bool) {
	all, now := k.keys(), k.now().UTC().Truncate(time.Second)
	if current(all, now) == nil {
		return now, true // nobody can have a token that another key signs from now on
	}
	newest := all[len(all)-1]
	return now.Add(notice), !now.Before(newest.signs.Add(period - notice))
}

// clean removes the keys that no token needs any more.
func (k *Keys) clean(ctx context.Context) error {
	all, now := k.keys(), k.now()
	for i, old := range all {
		if until := k.until(all, i); until.IsZero() || now.Before(until) {
			return nil
		}
		_, err := k.mirror.Commit(ctx, store.DeleteAt(store.SigningKey, old.id(), old.revision))
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// until returns when the key all[i] is removed, or zero if it is the newest one.
func (k *Keys) until(all []*key, i int) time.Time {
	if i == len(all)-1 {
		return time.Time{}
	}
	return all[i+1].signs.Add(k.longest + notice)
}

// generate returns the record of a new key.
func generate(number uint64, now, signs time.Time) ([]byte, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(number), Subject: pkix.Name{CommonName: "vigate token service"},
		NotBefore: now.Add(-early), NotAfter: signs.Add(validity), KeyUsage: x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return record.Encode(formatVersion, &row{Key: der, Certificate: certificate, Signs: signs}, nil)
}

// decode reads a record. Its errors contain nothing of the key.
func decode(r store.Record) (*key, error) {
	number, err := strconv.ParseUint(r.ID, 10, 64)
	if err != nil {
		return nil, errors.New("its id is not a number")
	}
	var read row
	if _, err := record.Decode(r.Value, formatVersion, &read); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(read.Certificate)
	if err != nil {
		return nil, errors.New("its certificate can't be read")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(read.Key)
	if err != nil {
		return nil, errors.New("its private key can't be read")
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok || !private.PublicKey.Equal(certificate.PublicKey) || private.N.BitLen() < bits {
		return nil, errors.New("its private key is not that of the certificate, or too short")
	}
	return &key{
		number: number, revision: r.Revision, signs: read.Signs,
		signer: xmlsig.Signer{Key: private, Chain: []*x509.Certificate{certificate}},
	}, nil
}

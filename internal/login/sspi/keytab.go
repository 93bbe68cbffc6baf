package sspi

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/secret"
)

const maxKeytab = 1 << 20 // bytes

// serviceKey is a key of the service.
type serviceKey struct {
	realm      string
	service    []string
	version    uint32
	encryption int32
	value      secret.Bytes
}

// keytabFile has the keys of a file, which it reads again when the file changes. If a changed file can't
// be used, the error is logged and the previous keys stay in force.
type keytabFile struct {
	path   string
	logger *slog.Logger
	watch  *filewatch.Watch
	keys   atomic.Pointer[[]serviceKey] // the newest first
}

func openKeytab(path string, now func() time.Time, logger *slog.Logger) (*keytabFile, error) {
	f := &keytabFile{path: path, logger: logger}
	f.watch = filewatch.New(filewatch.Options{Paths: []string{path}, Now: now, Reload: f.load, Failed: func(err error) {
		f.logger.Error("the changed keytab can't be used: the previous keys stay in force", "err", err)
	}})
	if err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

// find returns the keys that the ticket can be encrypted with: those of its service, version and type of
// encryption. Active Directory takes the names of services without case, and so does find.
func (f *keytabFile) find(t *messages.Ticket) []serviceKey {
	f.watch.Check()
	var found []serviceKey
	for _, k := range *f.keys.Load() {
		if k.encryption == t.EncPart.EType && (t.EncPart.KVNO == 0 || uint32(t.EncPart.KVNO) == k.version) &&
			k.realm == t.Realm && slices.EqualFunc(k.service, t.SName.NameString, strings.EqualFold) {
			found = append(found, k)
		}
	}
	return found
}

// has reports whether there is a key of the realm.
func (f *keytabFile) has(realm string) bool {
	return slices.ContainsFunc(*f.keys.Load(), func(k serviceKey) bool { return k.realm == realm })
}

// load reads the file.
func (f *keytabFile) load() error {
	b, info, err := datadir.ReadFile(f.path, maxKeytab)
	if info != nil {
		datadir.WarnOfReaders(f.path, info, f.logger)
	}
	if err != nil {
		return fmt.Errorf("read keytab: %w", err)
	}
	keys, weak, err := readKeytab(b)
	if err != nil {
		return fmt.Errorf("read keytab %s: %w", f.path, err)
	}
	f.keys.Store(&keys)
	f.logger.Info("keytab loaded", "file", f.path, "keys", len(keys), "unusable", weak)
	return nil
}

// readKeytab returns the keys in a keytab that can be used, the newest first, and the number of others.
// The library's errors are not passed on: some have the content of the file.
func readKeytab(b []byte) (keys []serviceKey, weak int, err error) {
	var k keytab.Keytab
	if guarded("read", func() error { return k.Unmarshal(b) }) != nil {
		return nil, 0, errors.New("it is not a keytab, or it is damaged")
	}
	for _, e := range k.Entries {
		n := encryptions[e.Key.KeyType]
		if n == 0 || len(e.Key.KeyValue) != n || len(e.Principal.Components) == 0 || e.Principal.Realm == "" ||
			e.Principal.Components[0] == "krbtgt" { // a key of the KDC
			weak++
			continue
		}
		keys = append(keys, serviceKey{
			e.Principal.Realm, e.Principal.Components, e.KVNO, e.Key.KeyType, secret.NewBytes(e.Key.KeyValue),
		})
	}
	if len(keys) == 0 {
		return nil, weak, errors.New("it has no key of a service for AES: RC4 and DES are not accepted")
	}
	slices.SortStableFunc(keys, func(a, b serviceKey) int { return int(b.version) - int(a.version) })
	return keys, weak, nil
}

// Probe reads the keytab and returns the names of the services that it has usable keys for. It is for
// checking a configuration; the method does not need it.
func (s Service) Probe() ([]string, error) {
	f, err := openKeytab(s.Keytab, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range *f.keys.Load() {
		if name := strings.Join(k.service, "/") + "@" + k.realm; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

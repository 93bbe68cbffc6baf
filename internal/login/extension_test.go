package login

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"testing"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/trust/trusttest"
)

// A bad certificate counts as a guess, in the same way as a wrong password.
func TestABadCertificateAndAnExtensionWithoutASubjectCountAsFailedLogins(t *testing.T) {
	for name, c := range map[string]struct {
		key  string // of the extension
		bad  bool   // the certificate was not issued by the configured authority
		want error
	}{
		"bad certificate":                         {"com.example.A", true, ErrBadCertificate},
		"bad certificate, no such extension":      {"com.example.none", true, ErrBadCertificate},
		"good certificate, without a subject":     {"com.example.bare", false, ErrNoSubject},
		"good certificate, another's":             {"com.example.B", false, ErrRejected},
		"good certificate, no such extension":     {"com.example.none", false, ErrRejected},
		"bad certificate, in the other way's key": {"com.example.bare", true, ErrBadCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			a := trusttest.New(t, "a")
			believed, err := trust.New([]*x509.Certificate{a.Cert})
			if err != nil {
				t.Fatal(err)
			}
			table := extension.NewTable(nil, slog.Default())
			names := &roster.Roster{Names: []roster.Names{table}}
			mirror := store.NewMirror(storetest.NewMemory(f.clock.Now), table.View(), names.View())
			names.Mirror = mirror
			storetest.Follow(t, mirror)
			manager := extension.NewManager(extension.Options{
				Mirror: mirror, Table: table, Roster: names, Events: event.NewLog(event.Options{Now: f.clock.Now}),
			})
			for _, reg := range []extension.Registration{
				{Key: "com.example.A", SubjectName: "CN=A", Data: []byte("{}")},
				{Key: "com.example.B", SubjectName: "CN=B", Data: []byte("{}")},
				{Key: "com.example.bare", Data: []byte("{}")},
			} {
				if err := manager.Register(t.Context(), event.By("test"), reg); err != nil {
					t.Fatal(err)
				}
			}
			f.methods = []Method{BySubject{
				Extensions: table, Trust: func() trust.Authorities { return believed }, Now: f.clock.Now,
			}}
			good, _ := a.Issue("A", nil)
			presented := good
			if c.bad {
				presented, _ = trusttest.New(t, "stranger").Issue("A", nil)
			}
			try := func(key string, cert *x509.Certificate) error {
				return f.try(t, Attempt{
					Credential: ExtensionSubject{Key: key},
					Peer:       peer.Peer{Address: addr, Certificates: []*x509.Certificate{cert}},
				})
			}
			for i := range f.values.Address.Failures {
				if err := try(c.key, presented); !errors.Is(err, c.want) {
					t.Fatalf("guess %d: %v, want %v", i, err, c.want)
				}
			}
			if err := try("com.example.A", good); !errors.Is(err, ErrRejected) {
				t.Errorf("the address is not locked: %v", err)
			}
			if err := try(c.key, presented); !errors.Is(err, c.want) {
				t.Errorf("the lock shows in the answer: %v", err)
			}
			told := int64(len(f.posted("BadUsernameSessionEvent"))) + f.reported(t)[addr]
			if told != int64(f.values.Address.Failures+2) {
				t.Errorf("%d are told of %d failures", told, f.values.Address.Failures+2)
			}
		})
	}
}

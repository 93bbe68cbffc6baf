package vigate_test

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/audit"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/upstream/wire"
	"github.com/vigate/vigate/internal/wsdl"
	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmltoken"
)

// zeroes has the types whose zero values are documented as usable.
var zeroes = map[string]any{
	"client.Token": &client.Token{}, "client.TLS": &client.TLS{},
	"internal/account.Cost": &account.Cost{}, "internal/binding.Output": &binding.Output{},
	"internal/gateway/message.Watch": &message.Watch{}, "internal/lab.Brake": &lab.Brake{},
	"internal/store.Numbering": &store.Numbering{}, "internal/trust.Authorities": &trust.Authorities{},
	"internal/access.Grantor": &access.Grantor{}, "internal/access.Set": &access.Set{},
	"internal/audit.Notes": &audit.Notes{}, "internal/binding.Body": &binding.Body{},
	"internal/cli.Host": &cli.Host{}, "internal/event.Actor": &event.Actor{},
	"internal/gateway/answer.Keys": &answer.Keys{}, "internal/gateway/message.Fault": &message.Fault{},
	"internal/login.Spent": &login.Spent{}, "internal/peer.Peer": &peer.Peer{},
	"internal/principal.Name": &principal.Name{}, "internal/property/value.Index": &value.Index{},
	"internal/secret.Text": &secret.Text{}, "internal/secret.Bytes": &secret.Bytes{},
	"internal/session.Scope": &session.Scope{}, "internal/upstream/wire.Cookie": new(wire.Cookie),
	"internal/wsdl.Kept": &wsdl.Kept{}, "internal/xmlsig.Element": &xmlsig.Element{},
	"internal/xmltoken.Reader": &xmltoken.Reader{},
}

// TestNoDocumentedZeroValuePanics prints each such value, and calls its methods without parameters.
func TestNoDocumentedZeroValuePanics(t *testing.T) {
	for id, zero := range zeroes {
		v := reflect.ValueOf(zero)
		try := func(what string, do func()) {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s, %s: %v", id, what, p)
				}
			}()
			do()
		}
		try("%v", func() { _ = fmt.Sprintf("%v %+v %#v", v.Elem().Interface(), zero, zero) })
		for i := range v.NumMethod() {
			if m := v.Method(i); m.Type().NumIn() == 0 {
				try(v.Type().Method(i).Name, func() { m.Call(nil) })
			}
		}
	}
}

func TestEveryDocumentedZeroValueIsTried(t *testing.T) {
	found := map[string]bool{}
	for _, s := range sources(t, false) {
		for g, typ := range s.types() {
			if !typ.Name.IsExported() || strings.HasSuffix(typ.Name.Name, "Options") ||
				strings.HasSuffix(s.dir, "test") { // options: see constructors; packages for tests fail in tests
				continue
			}
			id := s.dir + "." + typ.Name.Name
			documented := regexp.MustCompile(`\b[Zz]ero\s+(value|` + typ.Name.Name + `)\b`)
			if doc := g.Doc.Text() + typ.Doc.Text(); documented.MatchString(doc) {
				if found[id] = true; zeroes[id] == nil {
					t.Errorf("%s documents its zero value: add it to the table zeroes", id)
				}
			}
		}
	}
	if len(found) < 10 {
		t.Errorf("only %d types are found", len(found))
	}
}

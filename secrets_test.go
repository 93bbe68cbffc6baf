package vigate_test

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// secretName matches the names of fields that hold a secret.
var secretName = regexp.MustCompile(
	`(?i)(password|passphrase|secrets?|verifier|tokens?|tickets?|cookies?|credentials?)$`)

// plainSecrets lists the fields with such a name that may have a type that prints its value, and why.
var plainSecrets = map[string]string{
	"client.call.secrets":                "parameters of one call: texts that are removed from errors",
	"client.request.secrets":             "parameters of one request: texts that are removed from errors",
	"client/sessionfile.content.Token":   "the content of a file, as JSON",
	"cmd/vigate-lab.facts.Password":      "it is made up for a trial, and printed for its user",
	"cmd/vigate-lab.settings.password":   "it is made up for a trial, and printed for its user",
	"internal/console/page.Data.Token":   "it is written into the forms of a page",
	"internal/login/jwt.endpoints.Token": "the address at which an issuer gives tokens",
	"internal/login/sspi.offer.Token":    "the form of a message, for asn1",
	"internal/login/sspi.reply.Token":    "the form of a message, for asn1",
	"internal/sessionmanager.LoginExtensionRequestType.Base64SignedCredentials": "the arguments of a call, which a " +
		"vim.Call hides",
	"internal/sts.exchanged.Token":       "the form of an answer, for json",
	"internal/sts/lookup.Options.Tokens": "the path of the token service",
	"vigatetest.User.Password":           "it is made up for a test",
}

// TestASecretHasATypeThatHidesIt holds the rule that secrets can't be printed: a field whose name says that it is a
// secret is no plain text. It doesn't matter how the value around it is formatted, or by whom.
func TestASecretHasATypeThatHidesIt(t *testing.T) {
	found := map[string]bool{}
	for _, s := range sources(t, false) {
		if s.dir == "internal/vectors" || strings.HasSuffix(s.dir, "test") &&
			strings.HasPrefix(s.dir, "internal/") {
			continue // support of tests
		}
		for _, typ := range s.types() {
			fields, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					if !secretName.MatchString(name.Name) || !prints(field.Type) {
						continue
					}
					id := s.dir + "." + typ.Name.Name + "." + name.Name
					if found[id] = true; plainSecrets[id] == "" {
						t.Errorf("%s: %s prints its value: give it a type of package secret",
							s.fset.Position(name.Pos()), id)
					}
				}
			}
		}
	}
	for id := range plainSecrets {
		if !found[id] {
			t.Errorf("%s is in the table but does not exist, or does not print its value", id)
		}
	}
}

// prints reports whether package fmt prints a text that a value of the type contains.
func prints(typ ast.Expr) bool {
	switch t := typ.(type) {
	case *ast.Ident:
		return t.Name == "string" || t.Name == "byte" || t.Name == "any"
	case *ast.ArrayType:
		return prints(t.Elt)
	case *ast.MapType:
		return prints(t.Key) || prints(t.Value)
	}
	return false
}

package vim_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secrettest"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
)

const digits = "5ecret-9f86d081884c7d65"

// shown has the fields with texts that are not secret, by their types. All other texts must be hidden.
var shown = map[reflect.Type][]string{
	reflect.TypeFor[vim.Call]():                     {"Name", "AcceptLanguage", "Binding"},
	reflect.TypeFor[vim.HTTPRequest]():              {"Method", "Host", "Target"},
	reflect.TypeFor[types.ManagedObjectReference](): {"Type", "Value", "ServerGUID"},
	reflect.TypeFor[login.Attempt]():                {"Locale"},
	reflect.TypeFor[login.Password]():               {"User"},
	reflect.TypeFor[login.Assertion]():              {"Method", "Host", "Target"},
	reflect.TypeFor[login.ExtensionCertificate]():   {"Key"},
	reflect.TypeFor[login.ExtensionSubject]():       {"Key"},
}

// plant writes the digits into every text and secret of v, except those in shown. It returns the number
// of these texts.
func plant(v reflect.Value) (planted int) {
	switch v.Type() {
	case reflect.TypeFor[secret.Text]():
		v.Set(reflect.ValueOf(secret.New(digits)))
		return 1
	case reflect.TypeFor[secret.Bytes]():
		v.Set(reflect.ValueOf(secret.NewBytes([]byte(digits))))
		return 1
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(digits)
		return 1
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(digits))
			return 1
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && !slices.Contains(shown[v.Type()], f.Name) && f.Type.Kind() != reflect.Interface {
				planted += plant(v.Field(i))
			}
		}
	}
	return planted
}

// The test writes secrets into all fields that can hold one of all values that a login passes. So it
// covers fields that are added later.
func TestNothingThatHoldsASecretShowsIt(t *testing.T) {
	call := vim.Call{Name: "Login", Object: types.ManagedObjectReference{Type: "T"}}
	credentials := []login.Credential{
		&login.Password{}, &login.CloneTicket{}, &login.SSPI{}, &login.Assertion{},
		&login.ExtensionCertificate{}, &login.ExtensionSubject{},
	}
	holders := []any{&call, &login.Continue{}, &vim.Proof{}, &vim.HTTPRequest{}, &session.Token{}}
	for _, c := range credentials {
		holders = append(holders, c)
	}
	for _, h := range holders {
		v := reflect.ValueOf(h).Elem()
		planted := plant(v)
		if planted == 0 && !strings.HasPrefix(v.Type().Name(), "Extension") {
			t.Errorf("%s holds no secret", v.Type())
		}
		secrettest.Hides(t, digits, h)
		secrettest.Hides(t, digits, v.Interface())
	}
	for _, c := range credentials {
		secrettest.Hides(t, digits, login.Attempt{Credential: c})
	}
	// The arguments have types of the API. A call hides them, unless it is an unexported field of
	// another value and is printed with a verb that does not fit.
	call.Args = &types.LoginRequestType{UserName: "ann", Password: digits}
	for _, form := range slices.Concat(secrettest.Forms(digits, call), secrettest.Forms(digits, &call)) {
		if !strings.HasSuffix(form, "an unexported field") && !strings.HasSuffix(form, "a pointer to a field") {
			t.Errorf("a call shows its arguments by %s", form)
		}
	}
	result := vim.Result{Value: digits, Token: session.Token{Text: secret.New(digits)}}
	text, err := json.Marshal(map[string]vim.Result{"r": result})
	all := fmt.Sprintf("%s %v %+v %#v %d %s %x %v", text, result, &result, result, result, &result, result,
		result.LogValue())
	if err != nil || strings.Contains(all, digits) {
		t.Errorf("a result shows as %s, %v", all, err)
	}
}

// Secrets must be in a file that the configuration names, or in a type that hides them.
func TestTheConfigurationHoldsNoSecret(t *testing.T) {
	var look func(typ reflect.Type, path string)
	look = func(typ reflect.Type, path string) {
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[secret.Text]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name := strings.ToLower(f.Name)
			for _, word := range []string{"password", "secret", "token", "passphrase", "credential"} {
				if strings.Contains(name, word) && !strings.HasSuffix(name, "file") &&
					f.Type != reflect.TypeFor[secret.Text]() {
					t.Errorf("%s.%s is a %s: name a file, or hide it", path, f.Name, f.Type)
				}
			}
			look(f.Type, path+"."+f.Name)
		}
	}
	look(reflect.TypeFor[config.Config](), "Config")
}

package settings_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/console/settings"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const failures = "vigate.lockout.pair.failures"

// value returns an option.
func value(f *vimtest.Fixture, name string) any {
	all := vimtest.Get[[]types.BaseOptionValue](
		f.On("OptionManager", "QueryOptions", &types.QueryOptionsRequestType{Name: name}))
	return all[0].GetOptionValue().Value
}

func TestAnOptionIsChangedWithinItsBounds(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, settings.New())
	f.User("keeper", access.GlobalSettings)
	b.Login("keeper", "password of keeper")
	b.Get("/ui/settings").Is(http.StatusOK, failures, "vigate.session.maxLifetime", `aria-label="Save `,
		"1 – 1 440 min", "Key of the configuration: <code>lockout-failures</code>")
	before := value(f, failures)
	b.Post("/ui/settings", url.Values{"name": {failures}, "value": {" 7 "}}).LeadsTo("/ui/settings?saved=1")
	if got := value(f, failures); got != int32(7) {
		t.Errorf("the option is %v", got)
	}
	b.Get("/ui/settings?saved=1").Is(http.StatusOK, "The change was made.", `value="7"`)
	for _, text := range []string{"1000000", "0", `"><script>alert(1)</script>`} {
		b.Post("/ui/settings", url.Values{"name": {failures}, "value": {text}}).
			Is(http.StatusBadRequest, "A specified parameter was not correct", `value="`+text).Lacks("<script>alert")
	}
	b.Post("/ui/settings", url.Values{"name": {"<i>none"}, "value": {"1"}}).Is(http.StatusBadRequest).Lacks("<i>none")
	if got := value(f, failures); got != int32(7) {
		t.Errorf("the option is %v", got)
	}
	b.Post("/ui/settings", url.Values{"name": {failures}, "value": {""}}).LeadsTo("/ui/settings?saved=1")
	if got := value(f, failures); got != before {
		t.Errorf("the option is %v, not %v", got, before)
	}
}

func TestOptionsNeedTheirPrivilegeAndTheFormsToken(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, settings.New())
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/settings").Is(http.StatusOK, failures).Lacks(`action="/ui/settings"`)
	before := value(f, failures)
	b.Post("/ui/settings", url.Values{"name": {failures}, "value": {"7"}}).Is(http.StatusForbidden, "Permission")
	b.Login("administrator", vimtest.AdminPassword)
	b.Post("/ui/settings", url.Values{"name": {failures}, "value": {"7"}, "token": {"x"}}).
		Is(http.StatusForbidden, "another session")
	if got := value(f, failures); got != before {
		t.Errorf("the option is %v", got)
	}
}

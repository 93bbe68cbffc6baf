package vim

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/store"
)

func TestThatAChangeMayHaveBeenMadeIsToldApartFromThatItWasNot(t *testing.T) {
	may, not := FaultOf(fmt.Errorf("commit: %w: %w", store.ErrUncertain,
		store.ErrUnavailable)), FaultOf(store.ErrUnavailable)
	if may.Text("en") == not.Text("en") || may.key != "uncertain" {
		t.Errorf("told %q and %q", may.Text("en"), not.Text("en"))
	}
}

func TestACauseIsForTheLogAlone(t *testing.T) {
	f := FaultOf(errors.New("the disk of the third server is on fire"))
	if f.Detail.(*types.SystemError).Reason != "internal error" ||
		f.Text("en") != locale.Text("en", "fault.SystemError") {
		t.Errorf("%+v: %s", f.Detail, f.Text("en"))
	}
}

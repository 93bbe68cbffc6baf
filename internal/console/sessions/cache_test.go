package sessions_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim/vimtest"
)

func TestBrowsersThatWatchTheSameListShareIt(t *testing.T) {
	t.Parallel()
	f, b := open(t)
	// Each answer is that of the newest list, however many ask at the same time.
	for round := range 5 {
		token, _ := client(f, fmt.Sprintf("govc/%d", round), "198.51.100.1")
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				r := httptest.NewRequest(http.MethodGet, "/ui/sessions?q=govc", nil)
				b.Prepare(r)
				w := httptest.NewRecorder()
				b.ServeHTTP(w, r)
				newest := contains(w, "Sessions: 1 of 4.") && contains(w, fmt.Sprintf("govc/%d", round))
				if w.Code != http.StatusOK || !newest {
					t.Errorf("round %d: %d %s", round, w.Code, w.Body)
				}
			})
		}
		all.Wait()
		vimtest.OK(f.As(token, "SessionManager", "Logout", &types.LogoutRequestType{}))
		b.Get("/ui/sessions?q=govc").Is(http.StatusOK, "Sessions: 0 of 3.")
	}
	// Calls are no change of the list, but they are shown soon.
	f.Pass(time.Minute)
	b.Get("/ui/sessions?idle=30s").Is(http.StatusOK, "Sessions: 2 of 3.")
	f.Prop(f.Ann, "SessionManager", "currentSession")
	f.Pass(2 * time.Second)
	b.Get("/ui/sessions?idle=30s").Is(http.StatusOK, "Sessions: 1 of 3.")
}

func contains(w *httptest.ResponseRecorder, text string) bool {
	return strings.Contains(w.Body.String(), text)
}

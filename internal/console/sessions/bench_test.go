package sessions_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/console/sessions"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// BenchmarkPageOfManySessions measures a whole page of 99,000 sessions, each time with a list that has changed.
func BenchmarkPageOfManySessions(b *testing.B) {
	f, browser := consoletest.OpenAdmin(b, sessions.New())
	for i := range 99_000 {
		f.Pass(time.Millisecond)
		name, err := principal.Parse(fmt.Sprintf("user%d", i%900), "VSPHERE.LOCAL")
		f.Must(err)
		_, _, err = f.Sessions.Start(b.Context(), session.Grant{
			Identity: session.Identity{Name: name, FullName: "The User"}, Method: "password", Locale: "en",
			MessageLocale: "en", Address: fmt.Sprintf("192.0.2.%d", i%250), UserAgent: fmt.Sprintf("client/%d", i%20),
		})
		f.Must(err)
	}
	for _, query := range []string{"", "?group=user&sort=user", "?q=user1&sort=-idle"} {
		b.Run("sessions"+query, func(b *testing.B) {
			for b.Loop() {
				f.Pass(2 * time.Second) // what was found before is too old
				if a := browser.Get("/ui/sessions" + query); a.Code != http.StatusOK {
					b.Fatal(a.Code)
				}
			}
		})
	}
}

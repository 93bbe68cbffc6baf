package message_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/console/consoletest"
	"github.com/vigate/vigate/internal/console/message"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

func TestTheMessageIsShownOnAllPages(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, message.New())
	f.User("messenger", access.GlobalMessage)
	b.Login("messenger", "password of messenger")
	b.Get("/ui/message").Is(http.StatusOK, "Message to all users").Lacks(`role="note"`)
	const text = "<script>alert(1)</script>\nWe stop at 18:00."
	b.Post("/ui/message", url.Values{"text": {strings.ReplaceAll(text, "\n", "\r\n")}}).LeadsTo("/ui/message?saved=1")
	if got := vimtest.Get[string](f.Prop(f.Ann, "SessionManager", "message")); got != text {
		t.Errorf("the message is %q", got)
	}
	b.Get("/ui/message?saved=1").Is(http.StatusOK, "The change was made.", text).Lacks("<script>alert")
	other := b.Another()
	other.Login("Ann", vimtest.AnnPassword)
	other.Get("/ui/").Is(http.StatusOK, `role="note">`+text)
	b.Post("/ui/message", url.Values{"text": {""}}).LeadsTo("/ui/message?saved=1")
	other.Get("/ui/").Is(http.StatusOK).Lacks(`role="note"`)
}

func TestARefusedMessageStaysInTheForm(t *testing.T) {
	t.Parallel()
	_, b := consoletest.Open(t, message.New())
	b.Login("administrator", vimtest.AdminPassword)
	b.Get("/ui/message")
	b.Post("/ui/message", url.Values{"text": {"bell \a and more"}}).
		Is(http.StatusBadRequest, "A specified parameter was not correct", "bell \a and more")
}

func TestTheMessageNeedsItsPrivilegeAndTheFormsToken(t *testing.T) {
	t.Parallel()
	f, b := consoletest.Open(t, message.New())
	b.Login("Ann", vimtest.AnnPassword)
	b.Get("/ui/").Is(http.StatusOK).Lacks("/ui/message")
	b.Get("/ui/message").Is(http.StatusForbidden, "Permission to perform this operation was denied")
	b.Post("/ui/message", url.Values{"text": {"x"}}).Is(http.StatusForbidden, "Permission")
	b.Login("administrator", vimtest.AdminPassword)
	b.Post("/ui/message", url.Values{"text": {"x"}, "token": {""}}).Is(http.StatusForbidden, "another session")
	if got := vimtest.Get[string](f.Prop(f.Ann, "SessionManager", "message")); got != "" {
		t.Errorf("the message is %q", got)
	}
}

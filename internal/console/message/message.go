// Package message is the section of the console that sets the service message. All clients and all pages of the
// console show it.
package message

import (
	"embed"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/page"
)

//go:embed templates
var templates embed.FS

const (
	path        = console.Root + "message"
	managerType = "SessionManager"
)

// setRow sets the message.
var setRow = console.Row{Type: managerType, Name: "UpdateServiceMessage", Method: true}

// New returns the section. It is for the server itself: a front shows the message of its upstream.
func New() console.Section {
	return console.Section{
		Name: "message", Title: "console.message", Needs: setRow, Templates: page.Parse(templates, "templates/*.html"),
		Pages: map[string]console.Page{"GET message": show, "POST message": set},
	}
}

// body is what the template shows.
type body struct {
	Text    string
	Problem string
	Saved   bool
}

func show(x *console.Request) error {
	if err := x.Check(setRow); err != nil {
		return err
	}
	text, err := console.Get[string](x, managerType, "message")
	if err != nil {
		return err
	}
	return x.Page("message", x.Text("console.message"), body{Text: text, Saved: x.Form.Has("saved")})
}

// set sets the message. A refused text stays in the form.
func set(x *console.Request) error {
	if err := x.Check(setRow); err != nil {
		return err
	}
	// A browser sends the line ends of a form as CR LF.
	text := strings.ReplaceAll(x.Form.Get("text"), "\r\n", "\n")
	if _, err := x.Do(managerType, setRow.Name, &types.UpdateServiceMessageRequestType{Message: text}); err != nil {
		b := body{Text: text}
		if b.Problem, err = x.Problem(err); err != nil {
			return err
		}
		return x.Page("message", x.Text("console.message"), b)
	}
	return x.Redirect(path + "?saved=1")
}

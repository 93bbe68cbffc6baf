package vim

import (
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/session"
)

// userSession is the session as the API shows it.
func userSession(l *session.Live) types.UserSession {
	s := l.Summary()
	return types.UserSession{
		Key:              s.Key.String(),
		UserName:         s.Name,
		FullName:         s.FullName,
		LoginTime:        s.LoginTime,
		LastActiveTime:   s.LastActiveTime,
		Locale:           s.Locale,
		MessageLocale:    s.MessageLocale,
		ExtensionSession: s.Extension,
		IpAddress:        s.Address,
		UserAgent:        s.UserAgent,
		CallCount:        s.CallCount,
	}
}

// Permissions are the permissions as the API shows them.
func Permissions(all []access.Permission) []types.Permission {
	out := make([]types.Permission, len(all))
	for i, p := range all {
		out[i] = types.Permission{
			Entity: new(RootFolder()), Principal: p.Principal.String(), Group: p.Group, RoleId: p.Role, Propagate: p.Propagate,
		}
	}
	return out
}

// Element describes something that has a key.
func Element(key, label, summary string) types.ElementDescription {
	return types.ElementDescription{Description: types.Description{Label: label, Summary: summary}, Key: key}
}

// anonymousLocale is the locale of the texts for a caller without a session:
// the one in the call, else Accept-Language's, else the default.
func (a *API) anonymousLocale(c *Call) string {
	wanted := localeArgument(c.Args)
	if wanted == "" && c.AcceptLanguage != "" {
		return locale.AcceptLanguage(c.AcceptLanguage)
	}
	choice, err := a.Gate.Locale(wanted)
	if err != nil {
		return locale.Default
	}
	return choice.MessageLocale
}

// localeArgument is what a login's arguments say of the locale.
func localeArgument(args any) string {
	switch r := args.(type) {
	case *types.LoginRequestType:
		return r.Locale
	case *types.LoginBySSPIRequestType:
		return r.Locale
	case *types.LoginByTokenRequestType:
		return r.Locale
	case *LoginExtensionRequestType:
		return r.Locale
	case *types.LoginExtensionByCertificateRequestType:
		return r.Locale
	case *types.LoginExtensionBySubjectNameRequestType:
		return r.Locale
	}
	return ""
}

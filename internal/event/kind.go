package event

// supertypes are the API's, of the event types that vigate posts or lets
// clients post. Of any other type only Event is known.
var supertypes = map[string]string{
	"SessionEvent":                     "Event",
	"UserLoginSessionEvent":            "SessionEvent",
	"UserLogoutSessionEvent":           "SessionEvent",
	"AlreadyAuthenticatedSessionEvent": "SessionEvent",
	"BadUsernameSessionEvent":          "SessionEvent",
	"SessionTerminatedEvent":           "SessionEvent",
	"ServerStartedSessionEvent":        "SessionEvent",
	"NoAccessUserEvent":                "SessionEvent",
	"GlobalMessageChangedEvent":        "SessionEvent",
	"GeneralEvent":                     "Event",
	"GeneralUserEvent":                 "GeneralEvent",
	"ExtendedEvent":                    "GeneralEvent",
	"EventEx":                          "Event",
	"AuthorizationEvent":               "Event",
	"PermissionEvent":                  "AuthorizationEvent",
	"PermissionAddedEvent":             "PermissionEvent",
	"PermissionUpdatedEvent":           "PermissionEvent",
	"PermissionRemovedEvent":           "PermissionEvent",
	"RoleEvent":                        "AuthorizationEvent",
	"RoleAddedEvent":                   "RoleEvent",
	"RoleUpdatedEvent":                 "RoleEvent",
	"RoleRemovedEvent":                 "RoleEvent",
}

// categories are those of types that are not info, as vCenter's
// EventManager.description.eventInfo has them.
var categories = map[string]string{
	"BadUsernameSessionEvent": "error",
	"NoAccessUserEvent":       "error",
	"GeneralUserEvent":        "user",
}

// typePrefix is how vCenter spells a type as an id: vim.event.UserLoginSessionEvent.
const typePrefix = "vim.event."

// Category is the event's severity: info, warning, error or user.
func Category(e Event) string { return category(e.Type, e.Severity) }

func category(typ, severity string) string {
	switch severity {
	case "info", "warning", "error", "user":
		return severity
	}
	if c := categories[typ]; c != "" {
		return c
	}
	return "info"
}

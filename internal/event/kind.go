package event

// supertypes maps the event types that vigate or its clients post to their supertypes in the API.
// All other types are assumed to derive from Event only.
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

// categories maps event types to their categories in vCenter's EventManager.description.eventInfo.
// Types that are not listed have the category info.
var categories = map[string]string{
	"BadUsernameSessionEvent": "error",
	"NoAccessUserEvent":       "error",
	"GeneralUserEvent":        "user",
}

// typePrefix is the prefix of a type in an event type id: vim.event.UserLoginSessionEvent.
const typePrefix = "vim.event."

// Category returns the event's severity: info, warning, error or user.
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

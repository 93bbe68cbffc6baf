// Package implied names the types that can occur in answers although no row of the operation table names them.
// Packages openapi and wsdl describe them beside those of the rows.
package implied

// Faults are the faults that every operation can return, in addition to those of its row.
var Faults = []string{
	"InvalidArgument", "InvalidProperty", "InvalidRequest", "InvalidType", "LimitExceeded", "ManagedObjectNotFound",
	"MethodNotFound",
	"NoPermission", "NotAuthenticated", "RequestCanceled", "SystemError",
}

// Events are the types of the events that the server posts, or accepts from clients.
var Events = []string{
	"AlreadyAuthenticatedSessionEvent", "BadUsernameSessionEvent", "EventEx", "GeneralUserEvent",
	"GlobalMessageChangedEvent", "NoAccessUserEvent",
	"ServerStartedSessionEvent", "SessionTerminatedEvent", "UserLoginSessionEvent", "UserLogoutSessionEvent",
}

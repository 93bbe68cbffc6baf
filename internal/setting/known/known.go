// Package known has two facts about each option of vigate that the API does not report: its unit, and the key of the
// configuration that sets its base value. The command line, the console and the reference show them beside the values
// and bounds, which they read from the API.
package known

import "time"

// Option is what is known about an option.
type Option struct {
	Unit time.Duration // of a number; 0 if it has none
	Key  string        // of the configuration that sets the same; "" if there is none
}

// Options are the options of vigate, some of which other servers have as well. A time that is not a whole number of its
// unit is a text that contains the unit.
var Options = map[string]Option{
	"VirtualCenter.InstanceName":          {},
	"config.vmacore.soap.maxSessionCount": {0, "max-sessions"},
	"config.vmacore.soap.sessionTimeout":  {time.Minute, "idle-timeout"},
	"vigate.locale.default":               {0, "default-locale"},
	"vigate.lockout.address.duration":     {time.Second, "lockout-duration"},
	"vigate.lockout.address.failures":     {0, "lockout-address-failures"},
	"vigate.lockout.address.interval":     {time.Second, "lockout-address-window"},
	"vigate.lockout.pair.duration":        {time.Second, "lockout-duration"},
	"vigate.lockout.pair.failures":        {0, "lockout-failures"},
	"vigate.lockout.pair.interval":        {time.Second, "lockout-window"},
	"vigate.lockout.principal.duration":   {time.Second, "lockout-duration"},
	"vigate.lockout.principal.failures":   {0, "lockout-user-failures"},
	"vigate.lockout.principal.interval":   {time.Second, "lockout-user-window"},
	"vigate.session.maxLifetime":          {time.Minute, "max-lifetime"},
	"vigate.session.maxPerUser":           {0, "max-sessions-per-user"},
	"vigate.ticket.lifetime":              {time.Second, "ticket-lifetime"},
}

// Package history serves the event log to clients of the API. It implements the managed object
// EventManager and the EventHistoryCollectors with which clients read the log page by page. It
// converts the events of package event to the event types of the API, with messages in the caller's
// language, and checks events that clients post.
//
// [Serve] adds the objects to an API. The log itself, its storage and its limits are in package
// event.
package history

import (
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

// api implements the methods and properties of the package's objects.
type api struct {
	*vim.API
	log           *event.Log
	defaultDomain string
}

// Serve adds the package's objects to the API. log is the log that the API's domain writes, and
// defaultDomain the domain of user names that are given without one. Serve must be called before the
// first request.
func Serve(to *vim.API, log *event.Log, defaultDomain string) error {
	a := &api{to, log, defaultDomain}
	return to.Add(a.eventManager(), a.eventHistoryCollector())
}

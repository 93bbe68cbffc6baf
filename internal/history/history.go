// Package history serves the log of what happened: EventManager, the collectors
// by which clients read it page by page, and the API's events for those of the
// log.
package history

import "github.com/vigate/vigate/internal/vim"

// api is the API that these objects are part of.
type api struct{ *vim.API }

// Serve adds the package's objects to the API. It is called before the first
// request.
func Serve(to *vim.API) error {
	a := &api{to}
	for _, o := range []*vim.Object{a.eventManager(), a.eventHistoryCollector()} {
		if err := to.Add(o); err != nil {
			return err
		}
	}
	return nil
}

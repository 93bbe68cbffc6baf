package wsdl

import (
	"slices"
	"sync"

	"github.com/vigate/vigate/internal/vim"
)

// Kept keeps the descriptions of a few releases, each of which is made once. The zero Kept is empty. It is safe
// for concurrent use.
type Kept struct {
	mu   sync.Mutex // guards made
	made map[string]func() (*Documents, error)
}

// maxKept is the number of releases from which on older descriptions are forgotten.
const maxKept = 8

// Get returns the description for a release, and makes it if there is none.
func (k *Kept) Get(release string, describe func() (*Documents, error)) (*Documents, error) {
	k.mu.Lock()
	get := k.made[release]
	if get == nil {
		if k.made == nil || len(k.made) >= maxKept {
			k.made = map[string]func() (*Documents, error){}
		}
		get = sync.OnceValues(describe)
		k.made[release] = get
	}
	k.mu.Unlock()
	return get()
}

// Front returns the description of a front for its upstream's version of the API. An upstream would refuse a release
// that is newer than itself. The front serves those of its objects that have one of the types, and forwards calls to
// others. All fronts serve the same types.
func (k *Kept) Front(
	version string, objects []*vim.Object, types []string, others func() []*vim.Object,
) (*Documents, error) {
	release := Release(version)
	return k.Get(release, func() (*Documents, error) {
		own := slices.DeleteFunc(slices.Clone(objects), func(o *vim.Object) bool {
			return !slices.Contains(types, o.Type)
		})
		return New(release, own, others()...)
	})
}

package sessions

import "testing"

func TestAQueryThatPanicsKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	q, e := query{Text: "x"}, &entry{ready: make(chan struct{})}
	c := &cache{all: map[query]*entry{q: e}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		c.fill(q, e, func() (*listing, error) { panic("find") })
	}()
	if !isClosed(e.ready) || e.err == nil || c.all[q] != nil {
		t.Errorf("ready %t, %v, kept %t", isClosed(e.ready), e.err, c.all[q] != nil)
	}
}

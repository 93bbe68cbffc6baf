package sessions

import (
	"fmt"
	"testing"
)

func TestWhatOneBrowserNeedsTakesNoPlaceOfWhatOthersShare(t *testing.T) {
	t.Parallel()
	e, written := &entry{}, map[look]int{}
	get := func(l look) {
		t.Helper()
		b, err := e.html(l, func() ([]byte, error) {
			written[l]++
			return fmt.Append(nil, l), nil
		})
		if err != nil || string(b) != fmt.Sprint(l) {
			t.Errorf("%v: %s, %v", l, b, err)
		}
	}
	for i := range 10 * maxParts {
		get(look{language: "en", own: fmt.Sprint("session ", i)})
	}
	shared := look{language: "en"}
	for range 3 {
		get(shared)
	}
	if written[shared] != 1 {
		t.Errorf("what all share is written %d times", written[shared])
	}
}

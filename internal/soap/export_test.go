package soap

import "testing"

// SamePlain checks that a message of a client's is read plainly to its end, and
// as the standard library's tokenizer reads it.
func SamePlain(t testing.TB, message []byte) {
	t.Helper()
	if !samePlain(t, message) {
		t.Errorf("not read plainly: %s", message)
	}
}

package process

import "testing"

func TestProgramsOfGoRunAreToldFromOthers(t *testing.T) {
	for path, want := range map[string]bool{
		"/tmp/go-build1234/b001/exe/vigate": true, "/root/.cache/go-build/ab/cd-d/vigate": true,
		"vigate": false, "./vigate": false, "/usr/bin/vigate": false, "/home/ann/go/bin/vigate": false,
	} {
		if IsGoRun(path) != want {
			t.Errorf("%s: %t", path, !want)
		}
	}
}

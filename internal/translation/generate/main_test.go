package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableIsWhatTheLibrarysSourceSays(t *testing.T) {
	about, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}\n{{.Version}}", library).Output()
	if err != nil {
		t.Fatalf("find %s: %v", library, err)
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(string(about)), "\n")
	table, names, err := generate(filepath.Join(dir, "vim25"), version)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]byte{"../table.txt": table, "../../schema/names.txt": names} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not up to date: run go generate ./internal/translation", file)
		}
	}
}

func TestAMethodWithoutATypeIsAnErrorAndNotLeftOut(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"types/types.go": "package types\n\ntype DoResponse struct {\n" +
			"\tReturnval *bool `xml:\"returnval,omitempty\"`\n}\n",
		"mo/mo.go": "package mo\n\ntype Alarm struct {\n\tSelf int\n\n" +
			"\tInfo []types.BaseEvent `json:\"info\"`\n}\n",
		"methods/methods.go": "package methods\n\ntype DoBody struct {\n" +
			"\tReq *types.Do `xml:\"urn:vim25 Do,omitempty\"`\n\tRes *types.DoResponse `xml:\"DoResponse\"`\n}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const want = "Do is a method of no known type"
	if table, _, err := generate(dir, "v1"); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("%s, %v", table, err)
	}
	types := filepath.Join(dir, "types/types.go")
	text, err := os.ReadFile(types)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "\n// The parameters of `Alarm.Do`.\ntype DoRequestType struct {\n}\n"...)
	if err := os.WriteFile(types, text, 0o600); err != nil {
		t.Fatal(err)
	}
	table, _, err := generate(dir, "v1")
	if err != nil || !strings.HasSuffix(string(table), "\nAlarm\n\tinfo []Event\n\tDo() ?boolean\n") {
		t.Errorf("%s, %v", table, err)
	}
}

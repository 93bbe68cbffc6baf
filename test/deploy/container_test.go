package deploy

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is a line of the Containerfile, with the lines that continue it.
type instruction struct{ word, rest string }

// instructions returns those of each stage.
func instructions(t *testing.T) [][]instruction {
	t.Helper()
	text := strings.ReplaceAll(read(t, "deploy/container/Containerfile"), "\\\n", " ")
	var stages [][]instruction
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "" || strings.HasPrefix(word, "#"):
			continue
		case word == "FROM":
			stages = append(stages, nil)
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{word, strings.TrimSpace(rest)})
	}
	if len(stages) != 2 {
		t.Fatalf("there are %d stages", len(stages))
	}
	return stages
}

// words returns the words of an instruction in the form of JSON.
func words(t *testing.T, all []instruction, word string) []string {
	t.Helper()
	for _, i := range all {
		if i.word != word {
			continue
		}
		_, list, found := strings.Cut(i.rest, "[")
		var got []string
		if err := json.Unmarshal([]byte("["+list), &got); !found || err != nil {
			t.Fatalf("%s %s: %v", i.word, i.rest, err)
		}
		return got
	}
	t.Fatalf("there is no %s", word)
	return nil
}

// value returns the argument of the only instruction of a kind.
func value(t *testing.T, all []instruction, word string) string {
	t.Helper()
	var found []string
	for _, i := range all {
		if i.word == word {
			found = append(found, i.rest)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: %v", word, found)
	}
	return found[0]
}

// TestTheStepsOfTheContainerfileMakeAnImageThatServes does what a builder does: it copies the project, runs the
// commands of the first stage, and takes the result as the only files of the second. The server runs there as the
// image's user.
func TestTheStepsOfTheContainerfileMakeAnImageThatServes(t *testing.T) {
	stages := instructions(t)
	dir := t.TempDir()
	source, out := filepath.Join(dir, "src"), filepath.Join(dir, "out")
	copyTree(t, source)
	if err := os.RemoveAll(filepath.Join(source, ".git")); err != nil { // .containerignore
		t.Fatal(err)
	}
	if ignored := strings.Fields(read(t, ".containerignore")); !slices.Contains(ignored, ".git") {
		t.Errorf("the builder gets everything but %v", ignored)
	}
	home := ""
	for _, i := range stages[0] {
		switch i.word {
		case "FROM":
			version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
			if i.rest != "golang:"+version+" AS build" {
				t.Errorf("it builds from %s, go.mod has Go %s", i.rest, version)
			}
		case "WORKDIR":
			home = i.rest
		case "COPY":
			if i.rest != "go.mod go.sum ./" && i.rest != ". ." {
				t.Errorf("no test knows COPY %s", i.rest)
			}
		case "RUN":
			cmd := exec.CommandContext(t.Context(), "sh", "-euc", replaceRoots(i.rest, out))
			cmd.Dir = source
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", i.rest, err, msg)
			}
		default:
			t.Errorf("no test knows %s", i.word)
		}
	}
	if home != "/src" {
		t.Errorf("the work directory is %s", home)
	}
	final := stages[1]
	if value(t, final, "FROM") != "scratch" || value(t, final, "COPY") != "--from=build /out/ /" {
		t.Errorf("the image is made by %v", final)
	}
	checkImage(t, out)
	if user := value(t, final, "USER"); user != "10001:10001" || value(t, final, "VOLUME") != "/var/lib/vigate" {
		t.Errorf("the user is %s, the volume %s", user, value(t, final, "VOLUME"))
	}
	check := words(t, final, "HEALTHCHECK")
	command := slices.Concat(words(t, final, "ENTRYPOINT"), words(t, final, "CMD"))
	args := []string{"--net", "--fork", "--kill-child", "./testdata/contain", out, value(t, final, "USER")}
	args = append(args, string(rune('0'+len(check))))
	cmd := exec.CommandContext(t.Context(), "unshare", slices.Concat(args, check, command)...)
	cmd.Env = append(os.Environ(), "PASSWORD="+adminPassword)
	msg, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(msg), "== done\n") {
		t.Fatalf("%v\n%s", err, msg)
	}
	if info, err := os.Stat(filepath.Join(out, "var/lib/vigate/vigate.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the store in the volume: %v, %v", info, err)
	}
}

// replaceRoots replaces the directory of the image's files.
func replaceRoots(command, out string) string {
	return regexp.MustCompile(`(^|[ =])/out/`).ReplaceAllString(command, "${1}"+out+"/")
}

// checkImage checks that the image has nothing but what the server needs.
func checkImage(t *testing.T, out string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files = append(files, strings.TrimPrefix(path, out))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/group", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt", "/usr/bin/vigate"}
	if !slices.Equal(files, want) {
		t.Errorf("the image has %v", files)
	}
}

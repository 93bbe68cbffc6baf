//go:build linux

package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// childEnv makes the test binary a process that the test kills, or whose disk is full.
const childEnv = "VIGATE_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	role, path, ok := strings.Cut(os.Getenv(childEnv), ":")
	if !ok {
		os.Exit(m.Run())
	}
	var err error
	switch role {
	case "commit":
		err = commitUntilKilled(path)
	case "full":
		err = fillDisk(path)
	default:
		err = fmt.Errorf("no such role: %s", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(role, path string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+role+":"+path)
	return c
}

// commitUntilKilled creates pairs of records and deletes each third pair. It prints a line for each
// acknowledged commit.
func commitUntilKilled(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var out sync.Mutex // guards standard output
	say := func(line string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(line)
	}
	failed := make(chan error)
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				_, err := s.Commit(ctx, store.Create(store.Session, id, []byte(id), time.Now().Add(time.Hour)),
					store.Create(store.Ticket, id, []byte(id), time.Time{}))
				if err != nil {
					failed <- err
					return
				}
				say("+" + id)
				if i%3 != 0 {
					continue
				}
				say("?" + id)
				pair := []store.Change{store.Delete(store.Session, id), store.Delete(store.Ticket, id)}
				if _, err := s.Commit(ctx, pair...); err != nil {
					failed <- err
					return
				}
				say("-" + id)
			}
		}()
	}
	return <-failed
}

func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	said := map[string]byte{} // the last line about each id
	for round := range 3 {
		c := child("commit", path)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for n := 0; ; n++ {
			line, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) {
				break // the child did not finish the rest
			}
			if err != nil {
				t.Fatal(err)
			}
			said[line[1:len(line)-1]] = line[0]
			if n == 300+101*round {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Wait(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("child ended with %v", err)
		}
		if report, err := Check(path); err != nil || len(report.Damage) > 0 {
			t.Fatalf("Check after a kill: %+v, %v", report, err)
		}
		s := openTest(t, path, Options{})
		for id, last := range said {
			_, session := s.Get(t.Context(), store.Session, id)
			_, ticket := s.Get(t.Context(), store.Ticket, id)
			switch {
			case (session == nil) != (ticket == nil):
				t.Errorf("half a commit: %v, %v", session, ticket)
			case last == '+' && session != nil:
				t.Errorf("an acknowledged create was lost: %v", session)
			case last == '-' && session == nil:
				t.Error("an acknowledged delete was lost")
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskIsAClearErrorAndHeals(t *testing.T) {
	for name, limit := range map[string]string{
		// The end of the file has reserved space that was not written yet. The first limit is
		// inside that space: a transaction fails between its pages. The second limit is reached
		// when the file has to grow.
		"writing": "300000", "growing": "20000000",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := child("full", limit+":"+filepath.Join(t.TempDir(), "store.db")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// fillDisk limits the size of files. A write beyond the limit fails as on a full disk.
func fillDisk(arg string) error {
	number, path, _ := strings.Cut(arg, ":")
	limit, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: before.Max}); err != nil {
		return err
	}
	ctx := context.Background()
	written := 0
	put := func() error {
		value, expires := make([]byte, limit/100), time.Now().Add(time.Hour)
		_, err := s.Commit(ctx, store.Create(store.Session, sessionID(written), value, expires))
		return err
	}
	// After a commit that found no space, another may find some, in pages of the file that have
	// become free since.
	for refused := 0; refused < 3; {
		err := put()
		if err == nil {
			if written++; written > 1000 {
				return errors.New("the disk did not get full")
			}
			continue
		}
		refused++
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUncertain) {
			return fmt.Errorf("commit on a full disk: %w", err)
		}
		if _, err := s.Get(ctx, store.Session, sessionID(written)); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("get of a record that was not written: %w", err)
		}
		for i := range written {
			if _, err := s.Get(ctx, store.Session, sessionID(i)); err != nil {
				return fmt.Errorf("get on a full disk: %w", err)
			}
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	for range 100 {
		if err := put(); err != nil {
			return fmt.Errorf("commit when there is room again: %w", err)
		}
		written++
	}
	if err := s.Close(); err != nil {
		return err
	}
	report, err := Check(path)
	if err != nil || len(report.Damage) > 0 || report.Records[store.Session] != written {
		return fmt.Errorf("check after %d commits: %+v, %w", written, report, err)
	}
	return nil
}

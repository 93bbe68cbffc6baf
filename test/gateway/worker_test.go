package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/cli"
)

// invocation is one command line of govc, without its name.
type invocation struct {
	Args  []string
	Input string
}

// result is what an invocation printed, and its exit code.
type result struct {
	Begun    bool // the command has printed something and goes on; another result follows
	Code     int
	Out, Err string
}

// govc runs the commands of govc, one after the other, in a process of its own. So it has its own environment, home and
// working directory, and no command pays for the start of a process.
type govc struct {
	requests  *json.Encoder
	responses *json.Decoder
}

// startGovc starts a process with the given environment.
func startGovc(t *testing.T, dir string, env ...string) *govc {
	t.Helper()
	c := startChild(t, childGovc, dir, append(env, "HOME="+dir, "GOVMOMI_HOME="+dir+"/.govmomi", "TZ=UTC"))
	return &govc{requests: json.NewEncoder(c.in), responses: json.NewDecoder(c.out)}
}

// run runs one command. It calls begun once the command has printed something.
func (g *govc) run(i invocation, begun func()) (r result, err error) {
	err = g.requests.Encode(i)
	for err == nil {
		r = result{}
		if err = g.responses.Decode(&r); !r.Begun {
			break
		}
		begun()
	}
	return r, err
}

// work serves invocations until the standard input ends. It returns the exit code of the process.
func work() int {
	requests, responses := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	initial := map[string]reflect.Value{}
	for name, command := range cli.Commands() {
		of := reflect.ValueOf(command).Elem()
		value := reflect.New(of.Type()).Elem()
		value.Set(of)
		initial[name] = value
	}
	os.Args = []string{"govc"}
	for {
		var i invocation
		if err := requests.Decode(&i); err != nil {
			return 0
		}
		// A command keeps what its flags were set to. A process of govc begins with none.
		for name, command := range cli.Commands() {
			reflect.ValueOf(command).Elem().Set(initial[name])
		}
		r, err := captured(i, func() error { return responses.Encode(result{Begun: true}) })
		if err == nil {
			err = responses.Encode(r)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "govc:", err)
			return 1
		}
	}
}

// captured runs a command with the standard streams redirected. It calls begun at the first output.
func captured(i invocation, begun func() error) (r result, err error) {
	stdin, stdout, stderr := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = stdin, stdout, stderr }()
	if os.Stdin, err = inputOf(i); err != nil {
		return r, err
	}
	var out, bad stream
	if err := errors.Join(out.open(begun), bad.open(func() error { return nil })); err != nil {
		return r, err
	}
	os.Stdout, os.Stderr = out.writer, bad.writer
	r.Code = cli.Run(i.Args)
	_ = os.Stdin.Close()
	r.Out, err = out.end()
	if err != nil {
		return r, err
	}
	r.Err, err = bad.end()
	return r, err
}

// inputOf returns a file that begins with the input.
func inputOf(i invocation) (*os.File, error) {
	in, err := os.CreateTemp("", "govc-input-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(in.Name()) // its content stays until it is closed
	if _, err := in.WriteString(i.Input); err != nil {
		return nil, err
	}
	_, err = in.Seek(0, io.SeekStart)
	return in, err
}

// stream keeps what is written into a pipe.
type stream struct {
	reader, writer *os.File
	done           chan error
	text           strings.Builder // until done: of the goroutine that reads
}

func (s *stream) open(begun func() error) (err error) {
	s.reader, s.writer, err = os.Pipe()
	if err != nil {
		return err
	}
	s.done = make(chan error, 1)
	go func() {
		first := make([]byte, 1)
		n, err := s.reader.Read(first)
		s.text.Write(first[:n])
		if n > 0 {
			err = begun()
		}
		if err == nil {
			_, err = io.Copy(&s.text, s.reader)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		s.done <- err
	}()
	return nil
}

// end returns what was written.
func (s *stream) end() (string, error) {
	_ = s.writer.Close()
	err := <-s.done
	_ = s.reader.Close()
	return s.text.String(), err
}

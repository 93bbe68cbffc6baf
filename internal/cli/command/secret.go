package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxSecret limits the size of passwords, tokens and other files that are read as a whole, in
// bytes.
const maxSecret = 1 << 20

// ErrNoTerminal is returned by a prompt if there is no terminal.
var ErrNoTerminal = errors.New("there is no terminal for a password prompt")

// promptTerminal asks on the terminal itself, because standard input and output may be redirected.
func promptTerminal(ctx context.Context, prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return "", ErrNoTerminal
		}
		return readSecret(ctx, os.Stdin, os.Stderr, prompt)
	}
	defer tty.Close()
	return readSecret(ctx, tty, tty, prompt)
}

func readSecret(ctx context.Context, in *os.File, out io.Writer, prompt string) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", ErrNoTerminal
	}
	fmt.Fprint(out, prompt)
	type result struct {
		secret []byte
		err    error
	}
	read := make(chan result, 1)
	go func() {
		secret, err := term.ReadPassword(fd)
		read <- result{secret, err}
	}()
	select {
	case r := <-read:
		fmt.Fprintln(out)
		if r.err != nil {
			return "", fmt.Errorf("read password: %w", r.err)
		}
		return string(r.secret), nil
	case <-ctx.Done():
		// The goroutine keeps reading until the process ends, but the terminal must echo input
		// again.
		fmt.Fprintln(out)
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}

// Read reads a whole file, or standard input if path is "-". The errors call the content what.
func (r *Run) Read(what, path string) (string, error) {
	in, err := r.Open(what, path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	if len(content) > maxSecret {
		return "", fmt.Errorf("read %s: larger than %d bytes", what, maxSecret)
	}
	return string(content), nil
}

// Open opens a file, or standard input if path is "-".
func (r *Run) Open(what, path string) (io.ReadCloser, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		return file, nil
	}
	if r.set.stdinUsed != "" {
		return nil, Usage("standard input can't be both the %s and the %s; read one of them from a file",
			r.set.stdinUsed, what)
	}
	r.set.stdinUsed = what
	return io.NopCloser(r.cmd.InOrStdin()), nil
}

// ReadLine reads a secret that is a single line, and removes the line ending.
func (r *Run) ReadLine(what, path string) (string, error) {
	content, err := r.Read(what, path)
	if err != nil {
		return "", err
	}
	content = strings.TrimSuffix(strings.TrimSuffix(content, "\n"), "\r")
	if content == "" {
		return "", Usage("the %s is empty", what)
	}
	return content, nil
}

// NewPassword returns the password to set for a user. It reads it from a file, or prompts for it
// twice.
func (r *Run) NewPassword(ctx context.Context, user, path string) (string, error) {
	if path != "" {
		return r.ReadLine("new password", path)
	}
	password, err := r.set.host.Prompt(ctx, "New password of "+Clean(user)+": ")
	if err != nil {
		return "", noPrompt(err, "use --new-password-file FILE, or - for standard input")
	}
	again, err := r.set.host.Prompt(ctx, "Repeat the password: ")
	if err != nil {
		return "", err
	}
	switch {
	case password != again:
		return "", Usage("the two passwords differ")
	case password == "":
		return "", Usage("the new password is empty")
	}
	return password, nil
}

// noPrompt adds a hint to an error if there is no terminal to ask on.
func noPrompt(err error, hint string) error {
	if errors.Is(err, ErrNoTerminal) {
		return Usage("%w: %s", err, hint)
	}
	return err
}

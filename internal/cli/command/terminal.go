package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"
)

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// CanAsk reports whether somebody can answer a question: standard input is a terminal.
func (set *Set) CanAsk() bool { return set.host.IsTerminal(set.root.InOrStdin()) }

// Confirm asks a question on the terminal and reports whether the answer is yes.
func (r *Run) Confirm(ctx context.Context, question string) (bool, error) {
	if !r.set.CanAsk() {
		return false, Usage("there is no terminal to ask on")
	}
	out := r.cmd.ErrOrStderr()
	fmt.Fprint(out, Clean(question)+" [y/N] ")
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(r.cmd.InOrStdin(), maxAnswer)).ReadString('\n')
		read <- result{line, err}
	}()
	select {
	case a := <-read:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, fmt.Errorf("read answer: %w", a.err)
		}
		answer := strings.ToLower(strings.TrimSpace(a.line))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, context.Cause(ctx)
	}
}

// maxAnswer limits the answer to a question, in bytes.
const maxAnswer = 100

// Progress shows how far a command is, on one line of a terminal. If standard error is none, it shows nothing.
// It must not be used by several goroutines at once.
type Progress struct {
	r     *Run // nil: standard error is no terminal
	shown time.Time
	width int
}

// Progress returns a Progress.
func (r *Run) Progress() *Progress {
	if !r.set.host.IsTerminal(r.cmd.ErrOrStderr()) {
		return &Progress{}
	}
	return &Progress{r: r}
}

// progressEvery is how often the line changes at most.
const progressEvery = 100 * time.Millisecond

// Show replaces the line.
func (p *Progress) Show(text string) {
	if p.r == nil || p.r.Now().Sub(p.shown) < progressEvery {
		return
	}
	p.shown = p.r.Now()
	p.write(text)
}

// Done removes the line.
func (p *Progress) Done() {
	if p.r != nil && p.width > 0 {
		p.write("")
		fmt.Fprint(p.r.cmd.ErrOrStderr(), "\r")
	}
}

func (p *Progress) write(text string) {
	fmt.Fprintf(p.r.cmd.ErrOrStderr(), "\r%-*s", p.width, text)
	p.width = max(p.width, len(text))
}

// Warn prints a line to standard error.
func (r *Run) Warn(text string) { fmt.Fprintln(r.cmd.ErrOrStderr(), Clean(text)) }

// Screen reports whether standard output is a terminal, so that what a command shows can be replaced.
func (r *Run) Screen() bool { return r.set.host.IsTerminal(r.cmd.OutOrStdout()) }

// Repaint replaces what is on the terminal with what show writes to the output.
func (r *Run) Repaint(show func(Output) error) error {
	var b bytes.Buffer
	out := r.Out
	out.w = &b
	if err := show(out); err != nil {
		return err
	}
	text := b.String()
	if runtime.GOOS == "windows" {
		text += "\n" // its terminals may not know the sequences
	} else {
		// Each line is overwritten, and the rest of the screen cleared, so that nothing flickers.
		text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	}
	_, err := io.WriteString(r.Out.w, text)
	return err
}

// Explain returns the text and the exit code that the program would end with for the error.
func (r *Run) Explain(err error) (string, int) { return Explain(r.explainable(err)) }

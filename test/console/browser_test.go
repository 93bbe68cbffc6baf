// Package console tests the pages for browsers with a real browser, Debian's Chromium. It shows what a user sees and
// can do with a mouse, with a keyboard and without scripts, and what pages of other origins can't do. What each page
// must contain is in the tests of internal/console.
//
// All tests share one browser. Each has a profile of its own in it, and a server of its own in the test's process.
package console

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for a condition. It is long enough for the slowest machines.
const patience = 5 * time.Minute

// chromium is the browser that all tests share.
var chromium context.Context

func TestMain(m *testing.M) {
	// Tests create data directories, which must not be writable by the group.
	syscall.Umask(0o022)
	registerClient()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.WindowSize(1100, 800),
		chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("lang", "en-US"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"))
	processes, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	ctx, stop := chromedp.NewContext(processes)
	defer stop()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "start chromium, which scripts/setup installs: %v\n", err)
		return 1
	}
	chromium = ctx
	return m.Run()
}

// tab is a tab of the browser. Its test fails if a page has an error in its script, or does what the policy of its
// contents forbids.
type tab struct {
	t     *testing.T
	ctx   context.Context
	quiet bool // what the policy forbids is expected

	mu    sync.Mutex
	wrong []string // of what the browser complains
}

// newTab opens a tab with a new profile: without cookies.
func newTab(t *testing.T) *tab {
	t.Helper()
	return openTab(t, chromium, chromedp.WithNewBrowserContext())
}

// another opens a tab with the same profile.
func (b *tab) another() *tab {
	b.t.Helper()
	return openTab(b.t, b.ctx)
}

func openTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t}
	options = append(options, chromedp.WithListener(func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			b.complain(complaint(e.ExceptionDetails))
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity {
				b.complain(e.Entry.Text)
			}
		}
	}))
	ctx, closeTab := chromedp.NewContext(parent, options...)
	if err := chromedp.Do(ctx); err != nil {
		closeTab()
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	b.ctx = limited
	t.Cleanup(func() {
		if t.Failed() {
			text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
			t.Logf("the page at the end: %s %v", text, err)
		}
		for _, w := range b.complaints() {
			if !b.quiet {
				t.Errorf("the browser complains: %s", w)
			}
		}
		cancel()
		closeTab()
	})
	return b
}

func (b *tab) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, text)
}

// complaints returns of what the browser has complained since the last time.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.wrong
	b.wrong = nil
	return all
}

// complaint returns what went wrong in a script.
func complaint(e *runtime.ExceptionDetails) string {
	text := e.Text
	if e.Exception != nil {
		text += " " + e.Exception.Description
	}
	return fmt.Sprintf("%s (%s, line %d)", text, e.URL, e.LineNumber+1)
}

// do takes steps, which must succeed.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// command gives the browser a command, which must succeed.
func command[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, c, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// evaluate returns the value of an expression of JavaScript in the page.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// open loads a page, and waits until it is there.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// wait waits until an expression of JavaScript is true in the page, or in that which follows it.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if is {
			return
		}
		select {
		case <-b.ctx.Done(): // while a page goes and another comes, there may be nothing to look at
			b.t.Fatalf("%s is not true: %v", expression, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// quote returns a text as JavaScript writes it.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// sees waits until the page shows the texts.
func (b *tab) sees(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.wait("document.body?.innerText.includes(" + quote(text) + ")")
	}
}

// lacks waits until the page does not show the texts.
func (b *tab) lacks(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.wait("document.readyState == 'complete' && !document.body.innerText.includes(" + quote(text) + ")")
	}
}

// at waits until the page is that of a path, and complete.
func (b *tab) at(path string) {
	b.t.Helper()
	b.wait("document.readyState == 'complete' && location.pathname == " + quote(path))
}

// click clicks on the first element that a selector finds, when it is there and nothing covers it. It does so in one
// step, so that a list can't change between the look and the click.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.wait(`(() => {
		const e = document.querySelector(` + quote(selector) + `);
		if (!e) return false;
		e.scrollIntoView({block: "center"});
		const box = e.getBoundingClientRect();
		const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
		if (!e.contains(top)) return false;
		e.click();
		return true;
	})()`)
}

// write types a text into the field that a selector finds.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// login fills in the form of the page.
func (b *tab) login(user, password string) {
	b.t.Helper()
	b.wait("document.getElementById('user')")
	evaluate[string](b, "document.getElementById('user').value = ''")
	b.write("#user", user)
	b.write("#password", password)
	b.click("main form button")
}

// withoutScripts makes the browser run no scripts of pages.
func (b *tab) withoutScripts() {
	b.t.Helper()
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// choose makes a choice in a list, as a user does.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	evaluate[chromedp.Void](b, "{ const e = document.querySelector("+quote(selector)+"); e.value = "+quote(value)+
		"; e.dispatchEvent(new Event('input', {bubbles: true})); }")
}

// back presses the button that leads to the page before.
func (b *tab) back() {
	b.t.Helper()
	b.do(chromedp.NavigateBack())
}

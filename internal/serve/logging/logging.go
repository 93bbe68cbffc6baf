// Package logging makes the log of a server. [New] returns its logger, for the format and the level of the
// configuration.
//
// Two rules hold for every line, because strangers choose some values and cause some lines. A value has no
// unprintable characters and a maximum length. Of warnings and errors of one kind, ten lines pass in a minute.
// The others are left out, and one line at the end of the minute says how many. Lines of the audit log are never
// left out: beyond the ten, they are written with the level INFO. Lines below WARN are not bounded.
package logging

import (
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/config"
)

// maxLogText is the maximum length of one value in a log line, in bytes as written. Clients choose
// some values, such as names, and a name can be as long as a request's body.
const maxLogText = 1024

// New returns a logger that is configured by cfg and writes to w. All parts of a server must use it.
func New(cfg config.Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel, ReplaceAttr: plainAttr}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(bounded(slog.NewJSONHandler(w, o)))
	}
	return slog.New(bounded(slog.NewTextHandler(w, o)))
}

// plainAttr prevents values that clients choose from disguising a log line (ASVS 16.4.1). The
// handlers escape line ends, but not invisible characters and those that change the direction of
// writing.
func plainAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Key == "stack" { // of a panic: a long text of the runtime with many lines
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, plainText(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, plainText(err.Error()))
		}
	}
	return a
}

// plainText returns s, with unprintable characters escaped as in a Go string, and cut to
// maxLogText.
func plainText(s string) string {
	cut := len(s) > maxLogText
	if cut {
		s = s[:maxLogText]
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		s = strconv.Quote(s)
		s = s[1 : len(s)-1]
	}
	if len(s) > maxLogText {
		s, cut = strings.ToValidUTF8(s[:maxLogText], ""), true
	}
	if cut {
		s += "…"
	}
	return s
}

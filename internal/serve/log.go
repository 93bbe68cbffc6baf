package serve

import (
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/config"
)

// maxLogText is the most bytes of one value in a line of the log, as it is
// written there. Clients choose names, and a name can be as long as a body.
const maxLogText = 1024

// NewLogger returns the logger that cfg asks for. It writes to w.
func NewLogger(cfg config.Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel, ReplaceAttr: plainAttr}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// plainAttr keeps what clients write from disguising a line (ASVS 16.4.1): the
// handlers escape line ends, but not the characters that turn the direction of
// writing or can't be seen.
func plainAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Key == "stack" { // of a panic: the runtime's text, long and of many lines
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

// plainText is s with everything that does not print written as Go writes it in
// a string, and cut to maxLogText.
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

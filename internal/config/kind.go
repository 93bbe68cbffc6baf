package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// kind is a type of value. It determines how a text is stored in a field and which YAML scalars are
// accepted.
type kind struct {
	name string // name of the type in the help of flags
	want string // what error texts say is expected
	tag  string // YAML tag of the accepted scalars
	list bool
	// set stores the text in the field. For a list it appends the text.
	set func(field any, text string) error
}

const stringTag = "!!str"

func text(limit int) kind {
	return kind{name: "string", want: "a text", tag: stringTag, set: func(field any, s string) error {
		if err := checkText(s, limit); err != nil {
			return err
		}
		*field.(*string) = s
		return nil
	}}
}

func texts(limit int) kind {
	return kind{name: "string", want: "a text", tag: stringTag, list: true, set: func(field any, s string) error {
		if err := checkText(s, limit); err != nil {
			return err
		}
		if s == "" {
			return errors.New("is empty")
		}
		list := field.(*[]string)
		*list = append(*list, s)
		return nil
	}}
}

func checkText(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("is longer than %d bytes", limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("has control characters or is not UTF-8")
	}
	return nil
}

// name is the kind of a domain or a locale. It must not be empty or contain blanks, or a character
// that separates a user name from its domain.
func name() kind {
	return kind{name: "string", want: "a name", tag: stringTag, set: func(field any, s string) error {
		if err := checkText(s, 255); err != nil {
			return err
		}
		if s == "" || strings.ContainsAny(s, " \\@/") {
			return errors.New(`must be a name without blanks, \, @ or /`)
		}
		*field.(*string) = s
		return nil
	}}
}

// address is host:port. Whether the server can listen on the host is found out at the start.
func address() kind {
	return kind{name: "host:port", want: "an address as host:port", tag: stringTag,
		set: func(field any, s string) error {
			if s != "" {
				_, port, err := net.SplitHostPort(s)
				if err != nil {
					return fmt.Errorf("%s is not an address as host:port", show(s))
				}
				if n, err := strconv.ParseUint(port, 10, 16); err != nil {
					return fmt.Errorf("%s does not have a port from 0 to 65535", show(s))
				} else if strconv.FormatUint(n, 10) != port {
					return fmt.Errorf("%s has a port with a sign or leading zeros", show(s))
				}
				if err := checkText(s, 300); err != nil {
					return err
				}
			}
			*field.(*string) = s
			return nil
		}}
}

// loopback is the kind of an address that other machines can't reach.
func loopback() kind {
	k := address()
	set := k.set
	k.set = func(field any, s string) error {
		if err := set(field, s); err != nil || s == "" || IsLoopback(s) {
			return err
		}
		return fmt.Errorf("%s is not a loopback address; without TLS only 127.0.0.1, ::1 and localhost are served",
			show(s))
	}
	return k
}

// IsLoopback reports whether the host of an address in the form host:port is this machine, by its name.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func number(least, most int) kind {
	return kind{name: "int", want: "a whole number", tag: "!!int", set: func(field any, s string) error {
		n, err := strconv.Atoi(s)
		switch {
		case errors.Is(err, strconv.ErrRange), err == nil && (n < least || n > most):
			return fmt.Errorf("%s is not from %d to %d", show(s), least, most)
		case err != nil:
			return fmt.Errorf("%s is not a whole number", show(s))
		}
		*field.(*int) = n
		return nil
	}}
}

func duration(least, most time.Duration) kind {
	return kind{name: "duration", want: `a duration such as "90s", "30m" or "24h"`, tag: stringTag,
		set: func(field any, s string) error {
			d, err := time.ParseDuration(s)
			if err != nil {
				return fmt.Errorf(`%s is not a duration such as "90s", "30m" or "24h"`, show(s))
			}
			if d < least || d > most {
				return fmt.Errorf("%s is not from %v to %v", show(s), least, most)
			}
			*field.(*time.Duration) = d
			return nil
		}}
}

func boolean() kind {
	return kind{name: "bool", want: "true or false", tag: "!!bool", set: func(field any, s string) error {
		if s != "true" && s != "false" {
			return fmt.Errorf("%s is not true or false", show(s))
		}
		*field.(*bool) = s == "true"
		return nil
	}}
}

func oneOf[T ~string](values ...T) kind {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	choice := strings.Join(names, ", ")
	return kind{name: strings.Join(names, "|"), want: "one of " + choice, tag: stringTag,
		set: func(field any, s string) error {
			if !slices.Contains(values, T(s)) {
				return fmt.Errorf("%s is not one of %s", show(s), choice)
			}
			*field.(*T) = T(s)
			return nil
		}}
}

func level() kind {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
		"error": slog.LevelError}
	const choice = "debug, info, warn, error"
	return kind{name: "debug|info|warn|error", want: "one of " + choice, tag: stringTag,
		set: func(field any, s string) error {
			l, ok := levels[strings.ToLower(s)]
			if !ok {
				return fmt.Errorf("%s is not one of %s", show(s), choice)
			}
			*field.(*slog.Level) = l
			return nil
		}}
}

// hosts is a list of names and addresses in the form of a Host header without a port, or * for all
// hosts.
func hosts() kind {
	return kind{name: "host", want: "a host's name", tag: stringTag, list: true, set: func(field any, s string) error {
		if err := checkText(s, 255); err != nil {
			return err
		}
		_, notAddress := netip.ParseAddr(s)
		if s != "*" && (s == "" || notAddress != nil && strings.ContainsAny(s, " /:@[]*,")) {
			return fmt.Errorf("%s is neither * nor a host name or address without a port", show(s))
		}
		list := field.(*[]string)
		*list = append(*list, s)
		return nil
	}}
}

func prefixes() kind {
	return kind{name: "CIDR", want: "a network such as 10.0.0.0/8", tag: stringTag, list: true,
		set: func(field any, s string) error {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				return fmt.Errorf("%s is not a network such as 10.0.0.0/8", show(s))
			}
			// 10.1.2.3/8 may be a mistake for 10.1.2.3/32, which trusts far fewer addresses.
			if p != p.Masked() {
				return fmt.Errorf("%s has address bits beyond its prefix; the network is %v", show(s), p.Masked())
			}
			if p.Addr().Is4In6() {
				return fmt.Errorf("%s is an IPv4 network in IPv6 form; write it as IPv4", show(s))
			}
			list := field.(*[]netip.Prefix)
			*list = append(*list, p)
			return nil
		}}
}

// show returns a value for an error text, quoted and shortened.
func show(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strconv.Quote(s)
}

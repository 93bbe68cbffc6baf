package dispense

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
)

const (
	maxFile   = 1 << 20 // bytes
	maxTokens = 10_000
)

// Tokens are the tokens in a file: a line for each with a name and the token's SHA-256 in hex. Empty lines
// and lines that begin with # are ignored. Each request looks whether the file has changed, and then reads it again.
// So a token is refused as soon as it is removed. A filewatch.Watch would look once a second.
type Tokens struct {
	name string

	turn chan struct{} // full while one request looks at the file; guards the fields below
	seen os.FileInfo
	all  []entry
	err  error
}

// entry is a line of the file.
type entry struct {
	name string
	hash [sha256.Size]byte
}

// OpenTokens reads a file of tokens. The error says which line is wrong.
func OpenTokens(name string) (*Tokens, error) {
	t := &Tokens{name: name, turn: make(chan struct{}, 1)}
	if _, err := t.current(context.Background()); err != nil {
		return nil, err
	}
	return t, nil
}

// find returns the name of a token, or "". It takes the same time for every token. The error means that the file
// can't be used. Then every token is refused, because the file may have revoked one.
func (t *Tokens) find(ctx context.Context, token secret.Text) (string, error) {
	all, err := t.current(ctx)
	if err != nil {
		return "", err
	}
	hash, at := sha256.Sum256([]byte(token.Reveal())), -1
	for i := range all {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], all[i].hash[:]), i, at)
	}
	if at < 0 {
		return "", nil
	}
	return all[at].name, nil
}

// current returns the entries, and reads the file if it has changed.
func (t *Tokens) current(ctx context.Context) ([]entry, error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.turn }()
	info, err := os.Stat(t.name)
	if err != nil {
		t.seen = nil
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	if t.seen == nil || !filewatch.Same(t.seen, info) {
		t.all, t.seen, t.err = read(t.name)
	}
	return t.all, t.err
}

func read(name string) ([]entry, os.FileInfo, error) {
	b, info, err := datadir.ReadFile(name, maxFile)
	if err != nil {
		if !errors.Is(err, datadir.ErrTooLarge) {
			info = nil // the next request tries again: the file may be readable then
		}
		return nil, info, fmt.Errorf("read tokens: %w", err)
	}
	all, err := parse(b)
	if err != nil {
		return nil, info, fmt.Errorf("read tokens of %s: %w", name, err)
	}
	return all, info, nil
}

// parse reads the lines. Errors name the line and not what is in it: it may be a token.
func parse(b []byte) ([]entry, error) {
	var all []entry
	hashes := map[[sha256.Size]byte]bool{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || !principal.ValidText(fields[0]) || len(fields[0]) > 128 {
			return nil, fmt.Errorf("line %d is not a name and the SHA-256 of a token in hex", n)
		}
		e := entry{name: fields[0]}
		hash, err := hex.DecodeString(fields[1])
		if err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("line %d has no SHA-256 in hex", n)
		}
		copy(e.hash[:], hash)
		if e.hash == sha256.Sum256(nil) {
			return nil, fmt.Errorf("line %d has the hash of the empty token", n)
		}
		if hashes[e.hash] {
			return nil, fmt.Errorf("line %d has the token of another line", n)
		}
		if len(all) == maxTokens {
			return nil, fmt.Errorf("there are more than %d tokens", maxTokens)
		}
		hashes[e.hash] = true
		all = append(all, e)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

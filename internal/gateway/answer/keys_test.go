package answer_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/secret"
)

// Keys of sessions: the client's own, that of the session which answers, and that of another session at the upstream.
const (
	own     = "cccccccc-cccc-cccc-cccc-cccccccccccc"
	serving = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
	other   = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
)

type secrets []secret.Text

func (s *secrets) All() []secret.Text { return *s }

// client owns each object of the session that answers.
type client struct{}

func (client) Keys() (mine, upstream string) { return own, serving }

func (client) Object(real string, _ []byte) (string, bool) {
	return strings.ReplaceAll(real, serving, own), strings.Contains(real, serving)
}

func (client) Thumbprint(text string) string { return text }

// parts reads a text in parts of random lengths.
type parts struct {
	rest   string
	random *rand.Rand
}

func (p *parts) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.random.IntN(100))], p.rest)
	p.rest = p.rest[n:]
	if p.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

// FuzzAnAnswerKeepsAllBytesButKeys checks that an answer has no key of a session at the upstream when it has passed,
// however it arrives, and that one without keys passes as it is.
func FuzzAnAnswerKeepsAllBytesButKeys(f *testing.F) {
	for _, s := range []string{
		"", "<a>b</a>", "a " + serving + " and " + other,
		"<obj type=\"ContainerView\">session[" + serving + "]" + own + "</obj>",
		"https://h/nfc/session%5B" + serving + "%5d" + own + "/disk", "session[" + other + "]x",
		"<sessionId>" + other + "</sessionId>", "<sessionId>9</sessionId>",
		"<UserSession><key>9</key></UserSession>", "UserSession\"> \n<key>" + serving + "x</key>",
		serving + "-aaaa-aaaa-aaaa-aaaaaaaaaaaa", strings.Repeat("<x>filler</x>", 9000) + serving,
	} {
		f.Add(s, uint64(len(s)))
	}
	all := &secrets{secret.New(serving), secret.New(other)}
	f.Fuzz(func(t *testing.T, s string, seed uint64) {
		var keys answer.Keys
		set := keys.Of(all)
		got := string(set.Text(client{}, []byte(s)))
		for _, key := range []string{serving, other} {
			if strings.Contains(got, key) {
				t.Fatalf("%q becomes %q", s, got)
			}
		}
		plain := true
		for _, text := range []string{serving, other, "</sessionId>", "UserSession", "</sslThumbprint>"} {
			plain = plain && !strings.Contains(s, text)
		}
		if plain && got != s {
			t.Fatalf("%q becomes %q", s, got)
		}
		var stream message.Stream
		set.Begin(&stream, client{}, &parts{s, rand.New(rand.NewPCG(seed, 1))})
		if read, err := io.ReadAll(&stream); err != nil || string(read) != got {
			t.Fatalf("%q becomes %q as a stream, and %q as a whole: %v", s, read, got, err)
		}
	})
}

// BenchmarkALongAnswer passes an answer of some megabytes: identifiers that look like keys, and other properties.
func BenchmarkALongAnswer(b *testing.B) {
	const head, tail = `<objects><obj type="VirtualMachine">vm-4711</obj><propSet>`, `</propSet></objects>`
	for kind, part := range map[string]string{
		"identifiers": `<name>config.uuid</name><val xsi:type="xsd:string">4207e2d2-0c3b-5c47-a8b5-6a6a6a6a6a6a</val>`,
		"properties": `<name>summary.quickStats</name><val xsi:type="VirtualMachineQuickStats"><overallCpuUsage>21` +
			`</overallCpuUsage><guestMemoryUsage>163</guestMemoryUsage><guestHeartbeatStatus>green` +
			`</guestHeartbeatStatus><uptimeSeconds>1209600</uptimeSeconds></val>`,
	} {
		text := []byte(strings.Repeat(head+part+tail, 8<<20/(len(head)+len(part)+len(tail))))
		for _, sessions := range []int{1, 10, 100, 1000} {
			all := &secrets{}
			for range 2 * sessions { // a key and a cookie
				*all = append(*all, secret.New(uuid.NewString()))
			}
			b.Run(fmt.Sprintf("%s/%d sessions", kind, sessions), func(b *testing.B) {
				var keys answer.Keys
				var stream message.Stream
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					keys.Of(all).Begin(&stream, client{}, bytes.NewReader(text))
					if n, err := stream.WriteTo(io.Discard); err != nil || n != int64(len(text)) {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}

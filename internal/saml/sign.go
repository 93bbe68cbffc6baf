package saml

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/xmlsig"
)

// Sign is the content of the HTTP header Authorization with the scheme SIGN: a token, and the proof
// that the client has its key. The proof is missing for bearer tokens.
type Sign struct {
	Token secret.Bytes // XML; whoever has a bearer token can log in with it

	algorithm string
	signature []byte
	nonce     string
	bodyHash  []byte // nil: the client does not say
}

// Request is the HTTP request that the proof of a Sign covers.
type Request struct {
	Method string
	Target string // path and query, as sent
	Host   string // as sent
	Body   []byte // as sent
}

// Proof identifies a proof of a key. It must be accepted only once.
type Proof struct {
	ID [sha256.Size]byte
	// End is when the proof ends by itself, without the clocks' difference.
	End time.Time
}

// The times in which proofs are accepted.
const (
	// proofLife is the life of a proof that states when it was made, but not when it ends.
	proofLife = time.Minute
	// maxProofLife is the longest life of a proof. Clients state a minute, or up to half an hour.
	maxProofLife = 10 * time.Minute
)

// scheme is the name of the scheme in the header.
const scheme = "SIGN"

// IsSign reports whether the value of an Authorization header has the scheme SIGN.
func IsSign(header string) bool {
	name, _, _ := strings.Cut(header, " ")
	return strings.EqualFold(name, scheme)
}

// ParseSign reads the value of an Authorization header. The error is ErrForm, wrapped. The token is
// decompressed up to xmlsig.MaxBytes.
func ParseSign(header string) (*Sign, error) {
	_, rest, ok := strings.Cut(header, " ")
	if !ok || !IsSign(header) {
		return nil, bad("want the scheme SIGN and parameters")
	}
	parameters, err := parseParameters(rest)
	if err != nil {
		return nil, err
	}
	s := &Sign{algorithm: parameters["signature_alg"], nonce: parameters["nonce"]}
	token, err := inflate(parameters["token"])
	if err != nil {
		return nil, err
	}
	s.Token = secret.NewBytes(token)
	if s.signature, err = decode(parameters["signature"]); err != nil {
		return nil, err
	}
	s.bodyHash, err = decode(parameters["bodyhash"])
	return s, err
}

// Proved reports whether the header has a proof.
func (s *Sign) Proved() bool { return len(s.signature) > 0 }

// maxParameters is the number of parameters of a header.
const maxParameters = 16

// parseParameters reads parameters separated by commas: name="value" or name=value. The vendor's
// documents show values without quotes, which may end with '='.
func parseParameters(s string) (map[string]string, error) {
	all := map[string]string{}
	for len(all) < maxParameters {
		name, rest, ok := strings.Cut(strings.TrimLeft(s, " \t"), "=")
		if name = strings.ToLower(strings.TrimSpace(name)); !ok || name == "" || strings.ContainsAny(name, `", `) {
			return nil, bad("a parameter of the header has no name or no value")
		}
		if _, repeated := all[name]; repeated {
			return nil, bad("a parameter of the header is repeated")
		}
		var value string
		if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
			value, rest, ok = strings.Cut(quoted, `"`)
			if !ok || strings.Contains(value, `\`) {
				return nil, bad("a parameter of the header has no closing quote")
			}
			rest = strings.TrimLeft(rest, " \t")
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			value, rest = strings.TrimRight(rest[:end], " \t"), rest[end:]
			if strings.ContainsAny(value, " \t\"") {
				return nil, bad("a parameter of the header is malformed")
			}
		}
		all[name] = value
		if rest == "" {
			return all, nil
		}
		if rest[0] != ',' {
			return nil, bad("parameters of the header are not separated by commas")
		}
		s = rest[1:]
	}
	return nil, bad("the header has too many parameters")
}

func decode(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, bad("a parameter of the header is not base64")
	}
	return b, nil
}

// inflate decodes a token, which is compressed.
func inflate(s string) ([]byte, error) {
	packed, err := decode(s)
	if err != nil {
		return nil, err
	}
	source := bytes.NewReader(packed)
	z, err := gzip.NewReader(source)
	if err != nil {
		return nil, bad("the token is not compressed with gzip")
	}
	z.Multistream(false)
	token, err := io.ReadAll(io.LimitReader(z, xmlsig.MaxBytes+1))
	if err != nil || len(token) > xmlsig.MaxBytes || source.Len() > 0 {
		return nil, bad("the compressed token is damaged or too large")
	}
	return token, nil
}

// Verify verifies the proof with the public key of the token, for the request that it came with. The
// proof covers the method, path, host, port and body of the request, and a nonce with the time.
//
// Errors: ErrProof and ErrTime, wrapped.
func (s *Sign) Verify(key crypto.PublicKey, r Request, now time.Time, skew time.Duration) (Proof, error) {
	if !s.Proved() {
		return Proof{}, fmt.Errorf("%w: it is missing", ErrProof)
	}
	made, err := s.made()
	if err != nil {
		return Proof{}, err
	}
	if err := fresh(made, made.Add(proofLife), now, skew); err != nil {
		return Proof{}, err
	}
	hash := sha256.Sum256(r.Body)
	if s.bodyHash != nil && subtle.ConstantTimeCompare(hash[:], s.bodyHash) != 1 {
		return Proof{}, fmt.Errorf("%w: it is for another body", ErrProof)
	}
	path, _, _ := strings.Cut(r.Target, "?")
	host, ports := hostPorts(r.Host)
	for _, port := range ports {
		signed := append([]byte(strings.Join([]string{s.nonce, r.Method, path, host, port}, "\n")+"\n"), hash[:]...)
		signed = append(signed, '\n')
		if verifyBytes(s.algorithm, key, signed, s.signature) {
			return Proof{sha256.Sum256(signed), made.Add(proofLife)}, nil
		}
	}
	return Proof{}, fmt.Errorf("%w: the key has not signed the request", ErrProof)
}

// maxNonce is the size of the largest nonce, in bytes.
const maxNonce = 128

// made returns when the client made the proof: the nonce is the time in milliseconds, a colon, and a
// random part.
func (s *Sign) made() (time.Time, error) {
	ms, random, ok := strings.Cut(s.nonce, ":")
	n, err := strconv.ParseInt(ms, 10, 64)
	if !ok || err != nil || random == "" || len(s.nonce) > maxNonce || strings.ContainsAny(s.nonce, "\r\n") {
		return time.Time{}, fmt.Errorf("%w: the nonce is malformed", ErrProof)
	}
	return time.UnixMilli(n).UTC(), nil
}

// hostPorts returns the host that a client signs, and the ports that it may sign. Without a port in
// the Host header, clients sign 80, also with TLS. Some may sign the port that they connect to.
func hostPorts(host string) (string, []string) {
	host = strings.ToLower(host)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host, []string{"80", "443"}
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	return name, []string{port}
}

// verifyBytes verifies a signature over bytes with one of the algorithms that SIGN has.
func verifyBytes(algorithm string, key crypto.PublicKey, signed, signature []byte) bool {
	var hash crypto.Hash
	var digest []byte
	kind, size, _ := strings.Cut(strings.ToUpper(algorithm), "-")
	switch size {
	case "SHA256":
		sum := sha256.Sum256(signed)
		hash, digest = crypto.SHA256, sum[:]
	case "SHA384":
		sum := sha512.Sum384(signed)
		hash, digest = crypto.SHA384, sum[:]
	case "SHA512":
		sum := sha512.Sum512(signed)
		hash, digest = crypto.SHA512, sum[:]
	default:
		return false
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return kind == "RSA" && bits >= xmlsig.MinRSA && bits <= xmlsig.MaxRSA &&
			rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return kind == "ECDSA" && ecdsa.VerifyASN1(key, digest, signature)
	}
	return false
}

// fresh checks that a proof, or a timestamp, is valid now.
func fresh(made, end, now time.Time, skew time.Duration) error {
	switch {
	case made.After(now.Add(skew)):
		return fmt.Errorf("%w: it was made in the future", ErrTime)
	case !now.Add(-skew).Before(end):
		return fmt.Errorf("%w: it is too old", ErrTime)
	}
	return nil
}

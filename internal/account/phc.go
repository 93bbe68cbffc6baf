package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Cost holds the parameters of Argon2id, which determine the cost of a password hash. The zero
// value means 19 MiB, 2 passes and 1 lane.
type Cost struct {
	Memory uint32 // KiB
	Time   uint32 // passes
	Lanes  uint8
}

var defaultCost = Cost{Memory: 19 * 1024, Time: 2, Lanes: 1}

// Limits of the parameters of a stored hash: a damaged record must not make the server use
// unlimited memory or time.
const (
	maxMemory = 1 << 20 // KiB
	maxTime   = 32
	maxLanes  = 16
	minSalt   = 8
	maxSalt   = 64
	minKey    = 16
	maxKey    = 64
	maxPHC    = 256 // bytes of the whole text
)

// saltSize and keySize are the sizes of the salt and the key of new hashes, in bytes.
const (
	saltSize = 16
	keySize  = 32
)

func (c Cost) valid() bool {
	return c.Time >= 1 && c.Time <= maxTime && c.Lanes >= 1 && c.Lanes <= maxLanes &&
		c.Memory >= 8*uint32(c.Lanes) && c.Memory <= maxMemory
}

// hash is the hash of a password with the parameters that are needed to compute it again.
type hash struct {
	cost Cost
	salt []byte
	key  []byte
}

var errPHC = errors.New("not an Argon2id hash in PHC form")

// argon2Version denotes version 1.3 of Argon2, the only one in use.
const argon2Version = "v=19"

var base64PHC = base64.RawStdEncoding.Strict()

// String returns the hash in the PHC string format: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$%s$m=%d,t=%d,p=%d$%s$%s", argon2Version, h.cost.Memory, h.cost.Time,
		h.cost.Lanes, base64PHC.EncodeToString(h.salt), base64PHC.EncodeToString(h.key))
}

// parseHash is the exact inverse of String: it accepts no other spelling. Its errors don't quote
// the text.
func parseHash(s string) (hash, error) {
	if len(s) > maxPHC {
		return hash{}, errPHC
	}
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != argon2Version {
		return hash{}, errPHC
	}
	var h hash
	number := strings.Split(part[3], ",")
	if len(number) != 3 {
		return hash{}, errPHC
	}
	var n [3]uint32
	for i, name := range [3]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(number[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(v, 10) != digits {
			return hash{}, errPHC
		}
		n[i] = uint32(v)
	}
	if n[2] > maxLanes {
		return hash{}, errPHC
	}
	h.cost = Cost{Memory: n[0], Time: n[1], Lanes: uint8(n[2])}
	var err1, err2 error
	h.salt, err1 = base64PHC.DecodeString(part[4])
	h.key, err2 = base64PHC.DecodeString(part[5])
	if err1 != nil || err2 != nil || !h.cost.valid() ||
		len(h.salt) < minSalt || len(h.salt) > maxSalt || len(h.key) < minKey || len(h.key) > maxKey ||
		h.String() != s { // base64 decoding ignores line breaks
		return hash{}, errPHC
	}
	return h, nil
}

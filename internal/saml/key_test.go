package saml

import (
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"testing"
)

// The size of a key decides how much work its owner makes for the server.
func TestAKeyThatIsTooLargeIsNotUsed(t *testing.T) {
	signed := []byte("request")
	sum := sha256.Sum256(signed)
	for cubeRoot, want := range map[uint]bool{1360: true, 2740: false} { // bits
		// The key is made so that the signature fits: it is the cube root of the message, which is padded.
		root := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(3), cubeRoot-2), big.NewInt(2))
		cube := new(big.Int).Exp(root, big.NewInt(3), nil)
		size := (cube.BitLen() + 7) / 8
		message := make([]byte, size)
		for i := range message {
			message[i] = 0xff
		}
		message[0], message[1] = 0, 1
		prefix := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
			0x00, 0x04, 0x20}
		tail := append(append([]byte{0}, prefix...), sum[:]...)
		copy(message[size-len(tail):], tail)
		n := cube.Sub(cube, new(big.Int).SetBytes(message)) // odd, because the digest is
		key := &rsa.PublicKey{N: n, E: 3}
		if got := verifyBytes("RSA-SHA256", key, signed, root.FillBytes(make([]byte, size))); got != want {
			t.Errorf("a key of %d bits is used: %v", n.BitLen(), got)
		}
	}
}

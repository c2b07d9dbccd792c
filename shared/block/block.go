// Package block cuts files into blocks of 1 MiB and says, by tags, ranges and bitmaps, which of them two ends already
// share. Blocks are what a transfer sends, verifies and repairs.
package block

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Size is the length of every block of a file but the last, in bytes.
const Size = 1 << 20

// Count returns how many blocks a file of length bytes has; a file of length 0 has none.
func Count(length int64) int64 { return (length + Size - 1) / Size }

// Len returns the length in bytes of block n of a file of length bytes, 0 when there is no such block.
func Len(n, length int64) int64 {
	off := n * Size
	if n < 0 || off >= length {
		return 0
	}
	return min(Size, length-off)
}

// Key is a random AES-128 key that one transfer makes its tags with.
type Key [16]byte

// NewKey returns a fresh random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:])
	return k
}

// MarshalText writes the key as 32 lower-case hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) { return hexText(k[:]), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (k *Key) UnmarshalText(b []byte) error { return unhex(k[:], b, "key") }

// Tag is the check value of one block: AES-128-GMAC (NIST SP 800-38D) of its bytes under a transfer's key, with the
// block's number as the nonce. Equal tags mean equal blocks, except with a chance nobody can influence without the key.
type Tag [16]byte

// MarshalText writes the tag as 32 lower-case hexadecimal digits.
func (t Tag) MarshalText() ([]byte, error) { return hexText(t[:]), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (t *Tag) UnmarshalText(b []byte) error { return unhex(t[:], b, "tag") }

func hexText(b []byte) []byte { return hex.AppendEncode(nil, b) }

func unhex(dst, text []byte, what string) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("%s must be %d hexadecimal digits", what, 2*len(dst))
	}
	for _, c := range text {
		if c >= 'A' && c <= 'F' { // one spelling only
			return fmt.Errorf("%s must be lower-case hexadecimal", what)
		}
	}
	if _, err := hex.Decode(dst, text); err != nil {
		return fmt.Errorf("%s must be %d hexadecimal digits", what, 2*len(dst))
	}
	return nil
}

// Tagger makes the tags of one transfer. It is safe for concurrent use.
type Tagger struct{ gcm cipher.AEAD }

// NewTagger returns the tagger of key k.
func NewTagger(k Key) *Tagger {
	c, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // a 16-byte key is always valid
	}
	gcm, err := cipher.NewGCM(c)
	if err != nil {
		panic(err)
	}
	return &Tagger{gcm}
}

// Tag returns the tag of block n, whose bytes are b.
func (t *Tagger) Tag(n int64, b []byte) Tag {
	var s struct { // both escape through the interface: one allocation, not two
		nonce [12]byte
		tag   Tag
	}
	binary.LittleEndian.PutUint64(s.nonce[:], uint64(n))
	t.gcm.Seal(s.tag[:0], s.nonce[:], nil, b)
	return s.tag
}

// Bitmap is a set of small numbers, bit i of byte i/8 counted from the least significant.
type Bitmap []byte

// NewBitmap returns an empty set for the numbers 0 to n-1.
func NewBitmap(n int64) Bitmap { return make(Bitmap, (n+7)/8) }

// Set adds i, which must be below the size given to NewBitmap.
func (m Bitmap) Set(i int64) { m[i/8] |= 1 << (i % 8) }

// Clear removes i.
func (m Bitmap) Clear(i int64) { m[i/8] &^= 1 << (i % 8) }

// Has tells whether i is in the set; numbers beyond its size are not.
func (m Bitmap) Has(i int64) bool { return i >= 0 && i/8 < int64(len(m)) && m[i/8]&(1<<(i%8)) != 0 }

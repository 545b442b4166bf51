package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"millrace/internal/auth/jwt"
)

// mostKnown is the memory of each of the two halves of a cache, in bytes.
const mostKnown = 8 << 20

// hashed stands for a token: a hash by a key of this process, so that nobody can make two
// tokens of one.
type hashed [sha256.Size]byte

// cache has the claims of tokens whose signature was right, so that a crowd that comes
// back costs no signatures. It has two halves: what is used goes to the new one, and when
// that is full, the old one is forgotten. Safe for concurrent use.
type cache struct {
	key [sha256.Size]byte

	mu       sync.Mutex
	new, old map[hashed]known
	size     int // of new, in bytes, estimated
}

// known is what a set of keys has found right.
type known struct {
	set    *jwt.Set
	claims *jwt.Claims
}

func newCache() *cache {
	c := &cache{new: make(map[hashed]known)}
	rand.Read(c.key[:])
	return c
}

// hash returns what stands for a token.
func (c *cache) hash(text string) (h hashed) {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write([]byte(text))
	mac.Sum(h[:0])
	return h
}

// get returns the claims of a token by those keys, nil if they are not known. A key that is
// no longer there may have been taken away for a reason.
func (c *cache) get(h hashed, set *jwt.Set) *jwt.Claims {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.new[h]
	if !ok {
		if k, ok = c.old[h]; ok && k.set == set {
			delete(c.old, h)
			c.add(h, k)
		}
	}
	if k.set != set {
		return nil
	}
	return k.claims
}

// put has the claims of a token be known.
func (c *cache) put(h hashed, set *jwt.Set, claims *jwt.Claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(h, known{set, claims})
}

// add is put with mu held.
func (c *cache) add(h hashed, k known) {
	size := 512 + 256*len(k.claims.Patterns)
	for _, name := range k.claims.Names {
		size += 32 + len(name)
	}
	if c.size += size; c.size > mostKnown {
		c.old, c.new, c.size = c.new, make(map[hashed]known), size
	}
	c.new[h] = k
}

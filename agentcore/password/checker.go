package password

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"runtime"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Checker compares passwords with bcrypt, which is slow on purpose: no more at
// the same time than leaves processors for visitors who are in. A password that
// was right is known again without it, by a keyed hash that is worth nothing
// outside of this process. It is safe for concurrent use.
type Checker struct {
	hashes map[string][]byte
	nobody []byte // compared for names that don't exist, so that it takes as long
	turns  chan struct{}
	key    [32]byte

	mu     sync.Mutex
	right  map[string][32]byte
	trying map[[32]byte]*try
}

// try is one comparison that is under way, for all who wait for it.
type try struct {
	done chan struct{}
	ok   bool
	err  error
}

// NewChecker knows users by name, and the bcrypt hashes of their passwords.
func NewChecker(hashes map[string][]byte) *Checker {
	c := &Checker{hashes: hashes, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		right: map[string][32]byte{}, trying: map[[32]byte]*try{}}
	rand.Read(c.key[:])
	for _, h := range hashes {
		c.nobody = h
	}
	return c
}

func (c *Checker) sum(user string, password []byte) (sum [32]byte) {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write([]byte(user))
	mac.Write([]byte{0})
	mac.Write(password)
	mac.Sum(sum[:0])
	return sum
}

// Known reports whether it is a password that was right before. It is fast.
func (c *Checker) Known(user string, password []byte) bool {
	sum := c.sum(user, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.right[user]
	return ok && hmac.Equal(known[:], sum[:])
}

// Match reports whether it is the user's password. Before it compares, it asks
// begin whether it may; others who ask for the same meanwhile share the answer.
// An error is begin's, or ctx's: then nothing is known about the password.
func (c *Checker) Match(ctx context.Context, user string, password []byte, begin func() error) (bool, error) {
	sum := c.sum(user, password)
	c.mu.Lock()
	if known, ok := c.right[user]; ok && hmac.Equal(known[:], sum[:]) {
		c.mu.Unlock()
		return true, nil
	}
	if t := c.trying[sum]; t != nil {
		c.mu.Unlock()
		select {
		case <-t.done:
			return t.ok, t.err
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	t := &try{done: make(chan struct{})}
	c.trying[sum] = t
	c.mu.Unlock()

	if t.err = begin(); t.err == nil {
		t.ok, t.err = c.compare(ctx, user, password)
	}
	c.mu.Lock()
	delete(c.trying, sum)
	if t.ok {
		c.right[user] = sum
	}
	c.mu.Unlock()
	close(t.done)
	return t.ok, t.err
}

func (c *Checker) compare(ctx context.Context, user string, password []byte) (bool, error) {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	hash, exists := c.hashes[user]
	if !exists {
		hash = c.nobody
	}
	return bcrypt.CompareHashAndPassword(hash, password) == nil && exists, nil
}

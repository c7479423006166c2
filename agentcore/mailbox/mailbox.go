// Package mailbox is an unbounded queue between goroutines: putting never
// blocks, so two loops that send to each other can't lock each other up.
//
// It must not know what is in the letters.
package mailbox

import "sync"

// Box is a queue with one reader. The zero value is not usable; see New.
type Box[T any] struct {
	mu    sync.Mutex
	items []T
	wake  chan struct{}
}

// New makes an empty mailbox.
func New[T any]() *Box[T] { return &Box[T]{wake: make(chan struct{}, 1)} }

// Put adds v. It never blocks.
func (b *Box[T]) Put(v T) {
	b.mu.Lock()
	b.items = append(b.items, v)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Ready receives when there may be something to take.
func (b *Box[T]) Ready() <-chan struct{} { return b.wake }

// Take removes and returns all that is there, oldest first.
func (b *Box[T]) Take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = nil
	return items
}

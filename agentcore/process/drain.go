package process

import (
	"context"
	"sync"
	"time"
)

// When nothing new is accepted any more, clients that keep a connection alive
// get this long to ask once more and to be told politely to close. Those of a
// process that was rolled get longer: its successor serves already, so nobody
// waits for the end.
const (
	lameDuck       = 300 * time.Millisecond
	lameDuckRolled = time.Second
	lastClose      = 100 * time.Millisecond
)

// drain finishes what is in flight and takes nothing new. It has no limit of
// its own: a download may take hours, and the agent ends it after the share's
// grace time.
func (s *stage) drain(rolled bool) {
	s.draining.Store(true) // from now on, answers say Connection: close
	var wg sync.WaitGroup
	for _, g := range s.gates() {
		wg.Go(func() {
			if rolled {
				_ = g.Close() // what waits in the queue is the successor's
			} else {
				g.Drain()
			}
		})
	}
	wg.Wait()

	if c, ok := s.kind.(carrier); ok {
		c.drain()
		return
	}
	duck := lameDuck
	if rolled {
		duck = lameDuckRolled
	}
	s.await(time.After(duck), func() bool {
		open, _ := s.conns.count()
		return open == 0 && s.active.Load() == 0
	})
	// Shutdown closes idle connections at once and each other one after its
	// answer. It knows nothing of upgraded connections; s.active does.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.metMu.Lock()
	for _, srv := range s.servers {
		go srv.Shutdown(ctx)
	}
	s.metMu.Unlock()
	s.await(nil, func() bool {
		_, busy := s.conns.count()
		return busy == 0 && s.active.Load() == 0
	})
	s.await(time.After(lastClose), func() bool {
		open, _ := s.conns.count()
		return open == 0
	})
}

// await waits until done is true, or late fires.
func (s *stage) await(late <-chan time.Time, done func() bool) {
	for !done() {
		select {
		case <-s.moved:
		case <-late:
			return
		}
	}
}

// ended wakes a drain that waits.
func (s *stage) ended() {
	if s.draining.Load() {
		select {
		case s.moved <- struct{}{}:
		default:
		}
	}
}

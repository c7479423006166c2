// Package policy holds the numbers by which a share's life is led: when its
// process is replaced, how often it is checked, how long things may take.
//
// It must not know who keeps to them, or where they are set.
package policy

import "time"

// Policy holds the numbers of a share's life. Nearly all are settings.
type Policy struct {
	MinReady    time.Duration // a process that was ready this long is replaced at once
	BackoffMin  time.Duration // the first wait after one that was not
	BackoffMax  time.Duration // the longest wait; each is twice the one before, with jitter
	ForgetAfter time.Duration // ready this long: earlier failures are forgotten
	GiveUpAfter int           // so many bad starts in a row: failed

	PingEvery    time.Duration // on the link
	PingTimeout  time.Duration
	ProbeEvery   time.Duration // a request through the share's real address
	ProbeTimeout time.Duration
	Misses       int // so many unanswered in a row: replaced
	Ease         int // a share that nobody visits is checked up to so many times more rarely

	RollLimit time.Duration // how long a replaced process may finish what is in flight
	HangGrace time.Duration // how long one that no longer answers may
	FindGrace time.Duration // how long one that was there before may take to answer its new agent
	Acquire   time.Duration // how long a process may take to come up and be configured
}

// Default returns the numbers of the design. The settings begin with them.
func Default() Policy {
	return Policy{
		MinReady: time.Second, BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second,
		ForgetAfter: time.Minute, GiveUpAfter: 10,
		PingEvery: 5 * time.Second, PingTimeout: 3 * time.Second,
		ProbeEvery: 30 * time.Second, ProbeTimeout: 3 * time.Second, Misses: 2, Ease: 24,
		RollLimit: time.Hour, HangGrace: 5 * time.Second, FindGrace: 10 * time.Second, Acquire: 15 * time.Second,
	}
}

// Backoff is the wait before try n+1 after n bad ones: exponential, without the
// jitter that the loop adds.
func (p Policy) Backoff(n int) time.Duration {
	d := p.BackoffMin
	for ; n > 1 && d < p.BackoffMax; n-- {
		d *= 2
	}
	return min(d, p.BackoffMax)
}

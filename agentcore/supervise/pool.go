package supervise

import (
	"context"
	"log/slog"
	"runtime"
	"time"
)

// Pool starts share processes, and keeps some that are initialised and wait to
// be told which share to be: starting a process that links Caddy costs tens of
// milliseconds, configuring one that is up a few.
//
// One goroutine owns it; Take and Refill talk to that.
type Pool struct {
	launch   Launch
	standbys int
	log      *slog.Logger

	ask    chan chan *Proc // Take asks for a standby; nil is answered when there is none
	refill chan struct{}
	slots  chan struct{} // bounds the processes that come up at once
	done   chan struct{}
}

// settle is how long the pool lets a share that took a standby get up before it
// competes for the processor with it; and quiet the pause in launches after
// which a missing standby is made even if nobody asks for it.
const quiet = 300 * time.Millisecond

// NewPool makes a pool that keeps n standbys, until ctx ends.
func NewPool(ctx context.Context, l Launch, n int, log *slog.Logger) *Pool {
	p := &Pool{
		launch: l, standbys: n, log: log,
		ask: make(chan chan *Proc), refill: make(chan struct{}, 1),
		slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), done: make(chan struct{}),
	}
	go p.run(ctx)
	return p
}

// Done is closed when the pool has ended its standbys.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Take returns a share process that waits to be told what to be.
func (p *Pool) Take(ctx context.Context) (*Proc, error) {
	answer := make(chan *Proc, 1)
	select {
	case p.ask <- answer:
		if proc := <-answer; proc != nil {
			return proc, nil
		}
	case <-p.done:
		return nil, context.Canceled
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return launch(ctx, p.launch)
}

// Refill tells the pool that the share which took a standby is up, so that now
// is a good time to make another.
func (p *Pool) Refill() {
	select {
	case p.refill <- struct{}{}:
	default:
	}
}

func (p *Pool) run(ctx context.Context) {
	defer close(p.done)
	var (
		ready    []*Proc
		coming   int
		came     = make(chan *Proc)
		died     = make(chan *Proc)
		failures int
		later    = time.NewTimer(0)
	)
	make1 := func() {
		coming++
		go func() {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			proc, err := launch(ctx, p.launch)
			if err != nil {
				p.log.Warn("no standby", "error", err)
			}
			came <- proc
		}()
	}
	fill := func() {
		for len(ready)+coming < p.standbys {
			make1()
		}
	}
	for {
		select {
		case answer := <-p.ask:
			var proc *Proc
			for len(ready) > 0 && proc == nil {
				if proc, ready = ready[0], ready[1:]; !proc.Alive() {
					proc = nil
				}
			}
			answer <- proc
			later.Reset(quiet)
		case <-p.refill:
			if failures == 0 {
				fill()
			}
		case <-later.C:
			fill()
		case proc := <-came:
			coming--
			if proc == nil {
				failures++
				later.Reset(Policy{BackoffMin: time.Second, BackoffMax: 30 * time.Second}.backoff(failures))
				continue
			}
			failures = 0
			ready = append(ready, proc)
			go func() {
				<-proc.gone
				select {
				case died <- proc:
				case <-p.done:
				}
			}()
		case proc := <-died: // most of them long after they were taken
			for i, r := range ready {
				if r == proc {
					ready = append(ready[:i], ready[i+1:]...)
					later.Reset(quiet)
					break
				}
			}
		case <-ctx.Done():
			for ; coming > 0; coming-- {
				if proc := <-came; proc != nil {
					ready = append(ready, proc)
				}
			}
			for _, proc := range ready {
				proc.Kill()
				<-proc.gone
			}
			return
		}
	}
}

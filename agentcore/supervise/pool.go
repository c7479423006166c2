package supervise

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/mailbox"
	"sharetray/platform"
)

// Pool starts share processes, and keeps some that are initialised and wait for
// a share: starting a process that links Caddy costs tens of milliseconds,
// configuring one that is up a few. The share that came up last is rehearsed by
// the next standby: it is configured and holds the sockets, and when that share
// crashes, it only has to accept. Told to be another share, it still is quick.
//
// One goroutine owns the pool. The methods put what they want into its mailbox,
// so that what one supervisor wants is done in the order in which it wanted it.
type Pool struct {
	launch   Launch
	standbys int
	log      *slog.Logger
	lookout  *lookout

	mail  *mailbox.Box[func(*poolLoop)]
	slots chan struct{} // bounds the processes that come up at once
	done  chan struct{}
}

// rehearsal is what a standby has made ready: a share of owner's, on sockets.
type rehearsal struct {
	owner *Supervisor
	serve link.Serve
	socks []*platform.Socket // the pool's own holds, until a process has them
}

// covers reports whether what was rehearsed is what is to be served.
func (r *rehearsal) covers(serve link.Serve, socks []*platform.Socket) bool {
	return r != nil && r.serve.Share == serve.Share && r.serve.Log == serve.Log &&
		slices.EqualFunc(r.socks, socks, func(a, b *platform.Socket) bool { return a.Addr() == b.Addr() && a.IsUDP() == b.IsUDP() })
}

type dropRequest struct {
	owner *Supervisor
	done  chan struct{}
}

// standby is a share process that waits, and what it has rehearsed, if anything.
type standby struct {
	proc *Proc
	role *rehearsal
}

// arrival is a standby that has done what it was busy with, and what it had
// rehearsed while it was.
type arrival struct {
	standby
	was   *rehearsal
	fresh bool // it was started
}

// quiet is the pause after which a missing standby is made even if nobody says
// that now is a good time: long enough for a share that took one to come up
// without having to compete for the processor.
const quiet = 300 * time.Millisecond

// unholdTimeout bounds how long a standby may take to let go of sockets.
const unholdTimeout = time.Second

// NewPool makes a pool that keeps n standbys, until ctx ends.
func NewPool(ctx context.Context, l Launch, n int, log *slog.Logger) *Pool {
	p := &Pool{
		launch: l, standbys: n, log: log, lookout: newLookout(ctx), mail: mailbox.New[func(*poolLoop)](),
		slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), done: make(chan struct{}),
	}
	go (&poolLoop{Pool: p, ctx: ctx, later: time.NewTimer(0)}).run()
	return p
}

// Done is closed when the pool has ended its standbys.
func (p *Pool) Done() <-chan struct{} { return p.done }

// take returns a share process that waits, and what it has rehearsed for owner:
// nil, if nothing.
func (p *Pool) take(ctx context.Context, owner *Supervisor) (*Proc, *rehearsal, error) {
	answer := make(chan standby, 1)
	p.mail.Put(func(l *poolLoop) {
		answer <- l.pick(owner)
		l.later.Reset(quiet)
	})
	select {
	case s := <-answer:
		if s.proc != nil {
			if s.role != nil && s.role.owner != owner {
				s.role = nil
			}
			return s.proc, s.role, nil
		}
	case <-p.done:
		return nil, nil, context.Canceled
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	proc, err := launch(ctx, p.launch)
	return proc, nil, err
}

// offer says that owner's share is up, so that now is a good time to make the
// next standby, and that it should rehearse this share. The pool owns socks.
func (p *Pool) offer(owner *Supervisor, serve link.Serve, socks []*platform.Socket) {
	serve.Hold = true
	p.mail.Put(func(l *poolLoop) {
		l.setHint(&rehearsal{owner, serve, socks})
		l.letGo(owner) // what rehearsed an older one holds sockets that may be past
		if l.failures == 0 {
			l.fill()
		}
	})
}

// drop takes back what was offered. The channel is closed when no standby holds
// sockets of owner's any more.
func (p *Pool) drop(owner *Supervisor) <-chan struct{} {
	done := make(chan struct{})
	p.mail.Put(func(l *poolLoop) {
		if l.hint != nil && l.hint.owner == owner {
			l.setHint(nil)
		}
		l.letGo(owner)
		l.drops = append(l.drops, dropRequest{owner, done})
	})
	return done
}

// poolLoop is the pool's own state.
type poolLoop struct {
	*Pool
	ctx      context.Context
	ready    []standby
	coming   []*rehearsal // one for each process that is busy; nil: with no share's sockets
	hint     *rehearsal   // what the next one is to rehearse
	drops    []dropRequest
	failures int
	later    *time.Timer
}

func (l *poolLoop) run() {
	defer close(l.done)
	for ending := l.ctx.Done(); ending != nil || len(l.coming) > 0; {
		select {
		case <-l.mail.Ready():
			for _, do := range l.mail.Take() {
				do(l)
			}
		case <-l.later.C:
			l.fill()
		case <-ending:
			ending = nil
		}
		l.answerDrops()
	}
	l.setHint(nil)
	for _, s := range l.ready {
		if l.launch.Left.Load() {
			s.proc.link.Close() // without an agent, it ends by itself
			continue
		}
		s.proc.Kill()
		<-s.proc.gone
	}
}

// pick takes a standby out: one that has rehearsed for owner, else any.
func (l *poolLoop) pick(owner *Supervisor) standby {
	l.ready = slices.DeleteFunc(l.ready, func(s standby) bool { return !s.proc.Alive() })
	if len(l.ready) == 0 {
		return standby{}
	}
	i := max(0, slices.IndexFunc(l.ready, func(s standby) bool { return s.role != nil && s.role.owner == owner }))
	s := l.ready[i]
	l.ready = slices.Delete(l.ready, i, i+1)
	return s
}

func (l *poolLoop) setHint(r *rehearsal) {
	if l.hint != nil {
		closeAll(l.hint.socks)
	}
	l.hint = r
}

// fill starts the processes that are missing.
func (l *poolLoop) fill() {
	for len(l.ready)+len(l.coming) < l.standbys && l.ctx.Err() == nil {
		role := l.hint
		l.hint = nil
		l.coming = append(l.coming, role)
		go func() {
			proc := l.raise(role)
			l.mail.Put(func(l *poolLoop) { l.arrived(arrival{standby{proc, role}, role, true}) })
		}()
	}
}

// raise starts a standby and has it rehearse; nil if that fails.
func (l *poolLoop) raise(role *rehearsal) *Proc {
	ctx, cancel := context.WithTimeout(l.ctx, time.Minute)
	defer cancel()
	if role != nil {
		defer closeAll(role.socks)
	}
	spare := l.launch
	spare.Standby = true
	proc, err := launch(ctx, spare)
	if err == nil && role != nil {
		_, err = proc.link.Ask(ctx, link.Message{Type: link.TypeServe, Serve: &role.serve}, role.socks...)
		if err != nil {
			proc.Kill()
		}
	}
	if err != nil {
		if l.ctx.Err() == nil {
			l.log.Warn("no standby", "error", err)
		}
		return nil
	}
	return proc
}

func (l *poolLoop) arrived(a arrival) {
	i := slices.Index(l.coming, a.was)
	l.coming = slices.Delete(l.coming, i, i+1)
	if a.proc == nil {
		l.failures++
		l.later.Reset(Policy{BackoffMin: time.Second, BackoffMax: 30 * time.Second}.Backoff(l.failures))
		return
	}
	l.ready = append(l.ready, a.standby)
	if !a.fresh {
		return
	}
	l.failures = 0
	go func() {
		<-a.proc.gone // long after it was taken, mostly
		l.mail.Put(func(l *poolLoop) { l.died(a.proc) })
	}()
	for _, req := range l.drops {
		l.letGo(req.owner) // dropped while it was on its way
	}
	if l.hint != nil && a.role != nil && l.hint.owner == a.role.owner {
		l.letGo(a.role.owner) // offered anew while it was on its way
	}
}

func (l *poolLoop) died(proc *Proc) {
	if i := slices.IndexFunc(l.ready, func(s standby) bool { return s.proc == proc }); i >= 0 {
		l.ready = slices.Delete(l.ready, i, i+1)
		l.later.Reset(quiet)
	}
}

// letGo makes the standbys that rehearsed for owner forget it. They leave the
// ready ones meanwhile.
func (l *poolLoop) letGo(owner *Supervisor) {
	l.ready = slices.DeleteFunc(l.ready, func(s standby) bool {
		if s.role == nil || s.role.owner != owner {
			return false
		}
		l.coming = append(l.coming, s.role)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), unholdTimeout)
			defer cancel()
			if _, err := s.proc.link.Ask(ctx, link.Message{Type: link.TypeUnhold}); err != nil {
				s.proc.Kill()
				<-s.proc.gone
			}
			l.mail.Put(func(l *poolLoop) { l.arrived(arrival{standby: standby{proc: s.proc}, was: s.role}) })
		}()
		return true
	})
}

// answerDrops tells those whose sockets no standby holds any more.
func (l *poolLoop) answerDrops() {
	l.drops = slices.DeleteFunc(l.drops, func(req dropRequest) bool {
		if slices.ContainsFunc(l.coming, func(r *rehearsal) bool { return r != nil && r.owner == req.owner }) {
			return false
		}
		close(req.done)
		return true
	})
}

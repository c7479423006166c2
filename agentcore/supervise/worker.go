package supervise

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/link"
	"sharetray/agentcore/problem"
	"sharetray/platform"
)

// This file is what the loop does with share processes. Its goroutines end with
// a letter to the loop: for each worker either Refused, or Serving and later
// Exited.

// pauseTimeout bounds how long a process may take to stop accepting. One that
// doesn't is overtaken: probes go on until the new process answers one.
const pauseTimeout = time.Second

// acquire gets a process and tells it to be the share.
func (l *loop) acquire(id int) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Policy.Acquire)
	w := &worker{cancel: cancel, addrs: l.addresses(), probe: probeAddr(l.share)}
	l.workers[id] = w
	serve := l.serve()
	lent, err := l.socks.lend(w.addrs)
	if err != nil {
		cancel()
		l.queue = append(l.queue, letter{event: Event{Kind: Refused, Worker: id, Reason: err.Error()}})
		return
	}
	go func() {
		defer cancel()
		defer closeAll(lent)
		l.mail.Put(l.bringUp(ctx, id, serve, lent))
	}()
}

func (l *loop) bringUp(ctx context.Context, id int, serve link.Serve, lent []*platform.Socket) letter {
	proc, rehearsed, err := l.cfg.Pool.take(ctx, l.Supervisor)
	_ = failpoint.Here("serve.process")
	if err != nil {
		return letter{event: Event{Kind: Refused, Worker: id, Reason: "no share process could be started: " + err.Error()}}
	}
	told := l.told(id)
	proc.told.Store(&told)
	var answer link.Message
	var bound sockets
	if rehearsed.covers(serve, lent) {
		serve.Probe = rehearsed.serve.Probe
		_, err = proc.link.Ask(ctx, link.Message{Type: link.TypeResume})
	} else {
		answer, err = proc.link.Ask(ctx, link.Message{Type: link.TypeServe, Serve: &serve}, lent...)
		if refused, ok := errors.AsType[*link.Refused](err); ok && len(refused.Listen) > 0 {
			if bound, err = bindMore(serve.Share, refused.Listen); err == nil {
				answer, err = proc.link.Ask(ctx, link.Message{Type: link.TypeServe, Serve: &serve}, append(lent, bound.all()...)...)
			}
		}
	}
	_ = failpoint.Here("serve.told")
	if err == nil {
		return letter{event: Event{Kind: Serving, Worker: id, PID: proc.PID, Version: proc.Version}, proc: proc, secret: serve.Probe,
			more: answer.Listen, bound: bound}
	}
	bound.trim(nil)
	proc.Kill()
	<-proc.gone
	e := Event{Kind: Refused, Worker: id, Reason: err.Error(), Permanent: proc.permanent()}
	if refused, ok := errors.AsType[*link.Refused](err); ok {
		e.Reason, e.Permanent = refused.Sentence, refused.Permanent
	} else if problem.CodeOf(err) != "" && problem.Is(err, problem.Conflict) {
		e.Reason, e.Blocked = problem.Sentence(err), true
	} else if errors.Is(err, link.ErrClosed) {
		e.Reason = proc.cause
	}
	return letter{event: e}
}

// told is what is done with what a worker's process tells unasked.
func (l *loop) told(id int) func(link.Message) {
	return func(m link.Message) {
		if m.Visit != nil {
			l.mail.Put(letter{visit: m.Visit})
			return
		}
		l.mail.Put(letter{event: Event{Kind: Told, Worker: id, Health: m.Health}})
	}
}

// serve is what a process is told that is to be the share.
func (l *loop) serve() link.Serve {
	return link.Serve{Share: l.share, Probe: rand.Text(), Log: l.cfg.Log(l.share),
		Records: l.cfg.Pool.launch.Records, Authority: l.cfg.Pool.launch.Authority, Orphan: l.cfg.Orphan}
}

// offer has a standby rehearse the share.
func (l *loop) offer() {
	lent, err := l.socks.lend(l.addresses())
	if err != nil {
		return // the next crash waits for a process to be configured
	}
	l.cfg.Pool.offer(l.Supervisor, l.serve(), lent)
}

// gotFound makes a process that was found a worker.
func (l *loop) gotFound(id int, f *Found) {
	ctx, cancel := context.WithCancel(context.Background())
	l.workers[id] = &worker{cancel: cancel}
	l.gotProcess(id, f.proc, "")
	if id == l.state.Cur.ID {
		go l.takeOver(ctx, id, f)
	}
}

// gotSockets takes what came from a process that was taken over.
func (l *loop) gotSockets(id int, served *link.Serve, socks []*platform.Socket) {
	w := l.workers[id]
	if w == nil || id != l.state.Cur.ID { // it was stopped meanwhile
		closeAll(socks)
		return
	}
	w.addrs, w.probe, w.secret = Addresses(served.Share), probeAddr(served.Share), served.Probe
	l.socks.trim(nil)
	l.more = nil
	for _, s := range socks {
		l.socks[s.Addr()] = s
		if port := s.Addr().Port(); port != served.Share.Port && !slices.Contains(l.more, port) {
			l.more = append(l.more, port)
		}
	}
}

// gotProcess takes over the process of a worker, and has its end reported.
func (l *loop) gotProcess(id int, proc *Proc, secret string) {
	w := l.workers[id]
	w.proc, w.secret = proc, secret
	go func() {
		<-proc.dying
		l.mail.Put(letter{event: Event{Kind: Vanished, Worker: id}})
		<-proc.gone
		l.mail.Put(letter{event: Event{Kind: Exited, Worker: id, Reason: proc.cause, Permanent: proc.permanent()}})
	}()
	if w.ending {
		proc.Quit()
	}
}

// end asks for a worker's end; one that is still on its way is turned back.
func (l *loop) end(w *worker, how func(*Proc)) {
	switch {
	case w == nil: // it has ended
	case w.proc == nil:
		w.ending = true
		w.cancel()
	default:
		how(w.proc)
	}
}

// check asks the share's real address for the worker's nonce, and the worker
// for its health. Another process that accepts on the same socket is paused
// first.
func (l *loop) check(id int, w, pause *worker) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Policy.ProbeTimeout)
	defer cancel()
	if pause != nil && pause.proc != nil {
		l.ask(pause.proc, link.TypePause)
	}
	e := Event{Kind: Probed, Worker: id}
	_ = failpoint.Here("probe.paused")
	var err error
	e.Health, err = w.proc.answers(ctx, w.probe, w.secret)
	if errors.Is(err, link.ErrClosed) {
		return // it is dying, which is told otherwise
	}
	e.OK = err == nil
	if err != nil {
		e.Reason = err.Error()
	}
	l.mail.Put(letter{event: e})
}

func (l *loop) ask(proc *Proc, what link.Type) {
	ctx, cancel := context.WithTimeout(context.Background(), pauseTimeout)
	defer cancel()
	if _, err := proc.link.Ask(ctx, link.Message{Type: what}); err != nil {
		l.cfg.Logger.Warn("a share process did not listen", "pid", proc.PID, "to", string(what), "error", err)
	}
}

func (l *loop) ping(id int, w *worker) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Policy.PingTimeout)
	defer cancel()
	e := Event{Kind: Answered, Worker: id}
	var err error
	if e.Health, err = w.proc.ping(ctx); errors.Is(err, link.ErrClosed) {
		return // it is dying, which is told otherwise
	} else if err != nil {
		e.Kind = Silent
	}
	l.mail.Put(letter{event: e})
}

// answers asks the share's real address, and the process for its health. One that
// serves as many visitors as it may lets the question wait with the other ones:
// that it says so on its link will do.
func (p *Proc) answers(ctx context.Context, addr address, secret string) (*link.Health, error) {
	if addr.isAnnounced() { // one that waits too long would be taken for a visitor
		if h, err := p.ping(ctx); err != nil || h != nil && h.Full != "" {
			return h, err
		}
	}
	err := p.probe(ctx, addr, secret)
	if err == nil {
		return p.ping(ctx)
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTimeout)
	defer cancel()
	if h, unheard := p.ping(soon); unheard == nil && h != nil && h.Full != "" {
		return h, nil
	}
	return nil, err
}

func (p *Proc) ping(ctx context.Context) (*link.Health, error) {
	answer, err := p.link.Ask(ctx, link.Message{Type: link.TypePing})
	return answer.Health, err
}

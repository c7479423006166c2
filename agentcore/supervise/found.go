package supervise

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/link"
	"sharetray/agentcore/record"
	"sharetray/platform"
)

// This file is how an agent meets a share process that it has not started.

// Found is a share process that runs already. Nothing was changed about it so far.
type Found struct {
	Link     string    // the path of its link
	Share    string    // the name of the share that it is, as far as is known
	Answered bool      // it said who it is; if not, it hangs or is slow, and Role is not known
	Role     link.Role // what it is at
	proc     *Proc
}

// PID is the process's.
func (f *Found) PID() int { return f.proc.PID }

// Version is that of the program that the process runs; "" until it has answered.
func (f *Found) Version() string { return f.proc.Version }

// What may stand behind a link instead of a share process of ours.
var (
	ErrNobody   = errors.New("nobody is there")
	ErrStranger = errors.New("somebody else answers there")
	ErrSilent   = errors.New("nobody answers there")
	ErrVersion  = errors.New("the version of what is spoken there is not known")
)

// Meet asks who is behind the link at path. rec is the process's record, nil if
// there is none. A process that does not answer before ctx ends is still found
// if its record says for certain which one it is; the error is ErrSilent else.
// The caller disposes of what was found by Forget, or gives it to a supervisor.
func Meet(ctx context.Context, l Launch, path string, rec *record.Record) (*Found, error) {
	conn, life, err := platform.FindChild(path)
	switch {
	case platform.IsNobodyThere(err):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	p := newProc(l, 0, "", nil)
	p.link = link.New(conn, p.hear)
	giveUp := func(err error) (*Found, error) {
		p.link.Close()
		life.Close()
		return nil, err
	}
	f := &Found{Link: path, proc: p}
	answer, err := p.link.Ask(ctx, link.Message{Type: link.TypeHello, Hello: &link.Hello{
		Protocol: link.Protocol, Version: l.Version,
	}})
	refused := new(link.Refused)
	started := ""
	switch hello := answer.Hello; {
	case err == nil && hello != nil && (rec == nil || rec.Nonce == hello.Nonce && rec.PID == hello.PID) &&
		strings.HasPrefix(hello.Nonce, filepath.Base(path)):
		p.PID, p.nonce = hello.PID, hello.Nonce
		f.Answered, f.Role = true, link.Role{Duty: link.Idle}
		if err := p.known(answer); err != nil {
			return giveUp(err)
		}
		if answer.Role != nil {
			f.Role = *answer.Role
		}
		if s := f.Role.Serve; s != nil {
			f.Share = s.Share.Name.String()
		}
		started, _ = platform.ProcessStart(p.PID)
	case err == nil:
		return giveUp(ErrStranger)
	case errors.As(err, &refused):
		return giveUp(fmt.Errorf("%w: %w", ErrVersion, err))
	case errors.Is(err, link.ErrClosed):
		// It died, or it is none of ours, and hung up.
		if conn, life, again := platform.FindChild(path); again == nil {
			conn.Close()
			life.Close()
			return giveUp(fmt.Errorf("%w: it hangs up", ErrStranger))
		}
		return giveUp(fmt.Errorf("%w: %w", ErrNobody, err))
	case rec == nil:
		return giveUp(ErrSilent)
	default:
		p.PID, p.nonce, p.Version, started = rec.PID, rec.Nonce, rec.Version, rec.Started
		f.Share = rec.Share.String()
	}
	// What is said on the link or in the record may be wrong, or right in another
	// container only.
	if !platform.Listens(p.PID, conn) {
		return giveUp(fmt.Errorf("%w: it is not process %d that listens there", ErrStranger, p.PID))
	}
	handle, err := platform.FindProcess(p.PID, started)
	if err != nil {
		return giveUp(fmt.Errorf("%w: %w", ErrStranger, err))
	}
	p.body = found{handle}
	go p.watch(life)
	go p.wait(life, path)
	return f, nil
}

// known takes from a hello which program answers.
func (p *Proc) known(answer link.Message) error {
	if answer.Hello.Protocol < link.OldestProtocol {
		return fmt.Errorf("%w: %d, and this agent speaks none below %d", ErrVersion, answer.Hello.Protocol, link.OldestProtocol)
	}
	p.Version, p.Image = answer.Hello.Version, answer.Hello.Image
	return nil
}

// stale reports whether the process runs another program than this agent.
func (p *Proc) stale() bool {
	return p.Version != p.launch.Version || p.Image != "" && p.Image != platform.ImageID()
}

// Forget leaves the process alone.
func (f *Found) Forget() { f.proc.disown() }

// disown leaves a process alone from now on, whoever it is.
func (p *Proc) disown() {
	p.disowned.Store(true)
	p.link.Close()
}

// Retire has the process finish what is in flight and end, and returns when it
// has; once ctx ends, it is ended at once.
func (f *Found) Retire(ctx context.Context) {
	if f.Role.Duty != link.Draining { // a second signal would end it at once
		f.proc.Quit()
	}
	select {
	case <-f.proc.gone:
	case <-ctx.Done():
		f.proc.Kill()
		<-f.proc.gone
	}
}

// End asks the process to finish what is in flight and to end, and reports whether
// it has before ctx ends. It is never made to.
func (f *Found) End(ctx context.Context) bool {
	defer f.proc.disown() // should it go on, nothing more is done to it
	if f.Role.Duty != link.Draining {
		f.proc.Quit()
	}
	select {
	case <-f.proc.gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// takeOver makes this agent the one of a process that was found, and takes its
// sockets. It reports Adopted, Lost, or, as of every process, Exited.
func (l *loop) takeOver(ctx context.Context, id int, f *Found) {
	p := f.proc
	if !f.Answered {
		if err := p.introduce(ctx, ""); err != nil {
			l.notTaken(id, p, err)
			return
		}
	}
	_ = failpoint.Here("adopt.ask")
	answer, err := p.link.Ask(ctx, link.Message{Type: link.TypeAdopt})
	_ = failpoint.Here("adopt.answered")
	if err != nil {
		l.notTaken(id, p, err)
		return
	}
	role := answer.Role
	if role == nil || role.Duty != link.Serves || role.Serve == nil || len(answer.Sockets) == 0 {
		closeAll(answer.Sockets)
		l.mail.Put(letter{event: Event{Kind: Lost, Worker: id}}) // it has begun to drain
		return
	}
	told := l.told(id)
	p.told.Store(&told)
	e := Event{Kind: Adopted, Worker: id, PID: p.PID, Version: p.Version, Stale: p.stale(),
		Age: max(0, platform.SteadyClock()-role.Order)}
	probe, cancel := context.WithTimeout(ctx, l.cfg.Policy.ProbeTimeout)
	defer cancel()
	e.Health, err = p.answers(probe, probeAddr(role.Serve.Share), role.Serve.Probe)
	e.OK = err == nil
	l.mail.Put(letter{event: e, served: role.Serve, socks: answer.Sockets})
}

// notTaken deals with a process that could not be taken over. That of one which
// has died is told otherwise; a stranger is left alone.
func (l *loop) notTaken(id int, p *Proc, err error) {
	l.cfg.Logger.Warn("a share process was not taken over", "pid", p.PID, "error", err)
	switch {
	case errors.Is(err, link.ErrClosed), errors.Is(err, context.Canceled):
	case errors.Is(err, errNotIt):
		p.disown()
	default:
		p.Kill()
	}
}

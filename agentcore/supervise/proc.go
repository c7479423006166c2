package supervise

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/record"
	"sharetray/platform"
)

// Launch says how share processes are started.
type Launch struct {
	Exe       string // this executable
	Role      string // its first argument, which gives it the hidden role
	Links     string // the folder of the links
	Records   string // the folder of the records
	Authority string // the folder of the certificate authority
	Version   string
	Standby   bool     // no share waits for it: it may warm up
	Stderr    *os.File // for what a process says outside its log; nil: nowhere
	// Taken is called when a share process says that another agent has adopted
	// it. It may be called often, must not block, and sets Left before it returns:
	// the process hangs up next.
	Taken func()
	// Left is set when this agent leaves its share processes to another one: no
	// harm is done to them any more.
	Left *atomic.Bool
}

// Proc is a share process: one that this agent started, or that it found.
type Proc struct {
	PID     int
	Version string // of the program that it runs
	Image   string // the file that it runs: platform.ImageID
	nonce   string

	launch Launch
	body   body
	link   *link.Conn
	reap   sync.Mutex    // held while it is waited for: afterwards its pid may be a stranger's
	dying  chan struct{} // closed as soon as its death is noticed
	notice sync.Once
	gone   chan struct{} // closed once it was waited for, or is another agent's
	cause  string        // how it ended; valid after gone
	code   int
	told   atomic.Pointer[func(link.Message)] // what it tells unasked

	disowned atomic.Bool // it is not what it should be, and none of our business
}

// body is the process that the system knows.
type body interface {
	AskToStop() error
	Kill() error // it and its process group
	// Wait waits for the end of a process that ends: how, and its exit code.
	Wait() (cause string, code int)
}

// born is a child of this process.
type born struct{ *platform.Child }

func (b born) AskToStop() error { return platform.AskToStop(b.Cmd.Process.Pid) }
func (b born) Kill() error      { return platform.KillGroup(b.Cmd.Process.Pid) }
func (b born) Wait() (string, int) {
	_ = b.Cmd.Wait()
	return platform.ExitCause(b.Cmd.ProcessState), b.Cmd.ProcessState.ExitCode()
}

// found is a process that an earlier agent had started.
type found struct{ *platform.FoundProcess }

// foundWait bounds how long a process that has hung up may take to be gone.
const foundWait = 5 * time.Second

func (f found) Wait() (string, int) {
	f.FoundProcess.Wait(foundWait)
	return "how is not known, since an earlier agent had started it", -1
}

func newProc(l Launch, pid int, nonce string, b body) *Proc {
	return &Proc{PID: pid, nonce: nonce, launch: l, body: b, dying: make(chan struct{}), gone: make(chan struct{})}
}

// launch starts a share process and waits until it has introduced itself.
func launch(ctx context.Context, l Launch) (*Proc, error) {
	nonce := rand.Text() // 128 bits at least
	path := filepath.Join(l.Links, nonce[:16])
	child, err := platform.StartChild(l.Exe, []string{l.Role, path}, link.ProcessEnv, path, l.Stderr)
	if err != nil {
		return nil, err
	}
	p := newProc(l, child.Cmd.Process.Pid, nonce, born{child})
	p.link = link.New(child.Link, p.hear)
	go p.watch(child.Life)
	go p.wait(child.Life, path)
	if err := p.introduce(ctx, nonce); err != nil {
		p.Kill()
		<-p.gone
		return nil, fmt.Errorf("a share process did not come up: %w (%s)", err, p.cause)
	}
	return p, nil
}

// errNotIt is the error of a process that is not the one it should be.
var errNotIt = errors.New("another process answered on the link")

// introduce makes sure that the process is the one with the nonce. given is the
// nonce for a process that has none yet.
func (p *Proc) introduce(ctx context.Context, given string) error {
	answer, err := p.link.Ask(ctx, link.Message{Type: link.TypeHello, Hello: &link.Hello{
		Protocol: link.Protocol, Version: p.launch.Version, Nonce: given, Standby: p.launch.Standby,
	}})
	if err != nil {
		return err
	}
	if answer.Hello == nil || answer.Hello.Nonce != p.nonce || answer.Hello.PID != p.PID {
		return errNotIt
	}
	return p.known(answer)
}

func (p *Proc) hear(m link.Message, socks []*platform.Socket) *link.Message {
	closeAll(socks) // none were asked for
	switch f := p.told.Load(); {
	case m.Type == link.TypeTaken:
		p.launch.Taken()
	case f != nil && (m.Health != nil || m.Visit != nil):
		(*f)(m)
	}
	return nil
}

// watch notices the process's death by its lifeline, on which nothing is said.
func (p *Proc) watch(life net.Conn) {
	_, _ = life.Read(make([]byte, 1))
	p.noticed()
}

func (p *Proc) noticed() { p.notice.Do(func() { close(p.dying) }) }

// wait ends with the process. The kernel closes the link of a process that dies
// however it dies, so nothing needs to sit in wait(2) for it; and until it is
// waited for, the pid of a child can't be anybody else's, so that its group can
// be ended.
func (p *Proc) wait(life net.Conn, path string) {
	<-p.link.Done()
	if p.launch.Left.Load() {
		close(p.gone) // it is another agent's: it is not known to have died, but nobody waits for it
		return
	}
	p.noticed() // the lifeline may be later, when its thread was the last to go
	p.reap.Lock()
	defer p.reap.Unlock()
	defer close(p.gone)
	defer life.Close()
	if p.disowned.Load() {
		p.cause = "it turned out to be another process"
		return
	}
	_ = p.body.Kill()
	p.cause, p.code = p.body.Wait()
	platform.RemoveLink(path)
	record.Remove(p.launch.Records, path)
}

// Alive reports whether nothing is known of the process's death.
func (p *Proc) Alive() bool {
	select {
	case <-p.dying:
		return false
	default:
		return true
	}
}

// Kill ends the process and its descendants. Its end is awaited elsewhere.
func (p *Proc) Kill() { p.signal(p.body.Kill) }

// Quit asks the process to finish what is in flight and to exit.
func (p *Proc) Quit() { p.signal(p.body.AskToStop) }

func (p *Proc) signal(send func() error) {
	if p.launch.Left.Load() {
		p.link.Close() // one that no other agent wants ends by itself
		return
	}
	if p.disowned.Load() || !p.reap.TryLock() {
		return // it is not ours, or has ended
	}
	defer p.reap.Unlock()
	select {
	case <-p.gone:
	default:
		_ = send()
	}
}

// permanent reports whether the process said that trying again won't mend it.
// Valid once it is gone.
func (p *Proc) permanent() bool { return p.code == link.ExitConfig }

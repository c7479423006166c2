package supervise

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"sharetray/agentcore/link"
	"sharetray/platform"
)

// Launch says how share processes are started.
type Launch struct {
	Exe     string // this executable
	Role    string // its first argument, which gives it the hidden role
	Links   string // the folder of the links
	Version string
	Stderr  *os.File // for what a process says outside its log; nil: nowhere
}

// childEnv is what share processes have besides the agent's own environment.
// Collecting garbage often while a process initialises keeps what stays close
// together: an idle process then takes 9.1 MiB, with Go's default 9.6, with four
// times that 10.6 (and starts a quarter quicker). Once it is up it goes back to
// Go's default by itself. And Caddy would report to the service manager that
// started the agent.
var childEnv = []string{"GOGC=50", "NOTIFY_SOCKET="}

// Proc is a share process that this agent started.
type Proc struct {
	PID   int
	nonce string

	link   *link.Conn
	reap   sync.Mutex    // held while it is waited for: afterwards its pid may be a stranger's
	dying  chan struct{} // closed as soon as its death is noticed
	notice sync.Once
	gone   chan struct{} // closed once it was waited for
	cause  string        // how it ended; valid after gone
	code   int
	health atomic.Pointer[func(link.Health)]
}

// launch starts a share process and waits until it has introduced itself.
func launch(ctx context.Context, l Launch) (*Proc, error) {
	nonce := rand.Text() // 128 bits at least
	path := filepath.Join(l.Links, nonce[:16])
	child, err := platform.StartChild(l.Exe, []string{l.Role, path}, childEnv, path, l.Stderr)
	if err != nil {
		return nil, err
	}
	p := &Proc{PID: child.Cmd.Process.Pid, nonce: nonce,
		dying: make(chan struct{}), gone: make(chan struct{})}
	p.link = link.New(child.Link, p.hear)
	go p.watch(child)
	go p.wait(child, path)
	answer, err := p.link.Ask(ctx, link.Message{Type: link.TypeHello, Hello: &link.Hello{
		Protocol: link.Protocol, Version: l.Version, Nonce: nonce,
	}})
	if err == nil && (answer.Hello == nil || answer.Hello.Nonce != nonce || answer.Hello.PID != p.PID) {
		err = errors.New("it is not the process that was started")
	}
	if err != nil {
		p.Kill()
		<-p.gone
		return nil, fmt.Errorf("a share process did not come up: %w (%s)", err, p.cause)
	}
	return p, nil
}

func (p *Proc) hear(m link.Message, socks []*platform.Socket) *link.Message {
	for _, s := range socks {
		s.Close() // none were asked for
	}
	if f := p.health.Load(); f != nil && m.Type == link.TypeHealth && m.Health != nil {
		(*f)(*m.Health)
	}
	return nil
}

// watch notices the process's death by its lifeline, on which nothing is said.
func (p *Proc) watch(child *platform.Child) {
	_, _ = child.Life.Read(make([]byte, 1))
	p.noticed()
}

func (p *Proc) noticed() { p.notice.Do(func() { close(p.dying) }) }

// wait ends with the process. The kernel closes the link of a process that dies
// however it dies, so nothing needs to sit in wait(2) for it; and until it is
// waited for, its pid can't be anybody else's, so that its group can be ended.
func (p *Proc) wait(child *platform.Child, path string) {
	<-p.link.Done()
	p.noticed() // the lifeline may be later, when its thread was the last to go
	p.reap.Lock()
	defer p.reap.Unlock()
	_ = platform.KillGroup(p.PID)
	_ = child.Cmd.Wait()
	p.cause, p.code = platform.ExitCause(child.Cmd.ProcessState), child.Cmd.ProcessState.ExitCode()
	platform.RemoveLink(path)
	child.Life.Close()
	close(p.gone)
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
func (p *Proc) Kill() { p.signal(platform.KillGroup) }

// Quit asks the process to finish what is in flight and to exit.
func (p *Proc) Quit() { p.signal(platform.AskToStop) }

func (p *Proc) signal(send func(pid int) error) {
	if !p.reap.TryLock() {
		return // it has ended
	}
	defer p.reap.Unlock()
	select {
	case <-p.gone:
	default:
		_ = send(p.PID)
	}
}

// permanent reports whether the process said that trying again won't mend it.
// Valid once it is gone.
func (p *Proc) permanent() bool { return p.code == link.ExitConfig }

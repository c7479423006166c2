package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/link"
	"sharetray/agentcore/record"
	"sharetray/agentcore/rundir"
	"sharetray/platform"
)

// This file is the life of a share process without an agent: it serves on, tries
// to start an agent, and can be found by one.

// leaveRecord lets other agents find this process.
func (p *process) leaveRecord(m link.Serve) {
	if m.Records == "" {
		return
	}
	started, err := platform.ProcessStart(os.Getpid())
	if err == nil {
		err = record.Write(m.Records, record.Record{
			Share: m.Share.Name, PID: os.Getpid(), Started: started, Nonce: p.nonce,
			Link: p.linkPath, Version: p.version, Since: time.Now(),
		})
	}
	if err != nil { // it is found by its link, unless it hangs
		slog.Warn("this process could not leave a record", "error", err)
	}
}

func (p *process) removeRecord() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serves != nil && p.serves.Records != "" {
		record.Remove(p.serves.Records, p.linkPath)
	}
}

// How often a process that ends tries to empty the runtime folder: another one
// that ends may be at it.
const (
	vacateTries = 100
	vacatePause = 20 * time.Millisecond
)

// vacate removes what an agent has left that died, if this process was the last
// one of it, and no other agent has come.
func (p *process) vacate() {
	p.mu.Lock()
	lock := ""
	if p.serves != nil {
		lock = p.serves.Orphan.Lock
	}
	p.mu.Unlock()
	if lock == "" || !p.alone() {
		return
	}
	for range vacateTries {
		if err := rundir.Vacate(filepath.Dir(lock)); !errors.Is(err, rundir.ErrHeld) {
			return
		}
		time.Sleep(vacatePause)
	}
}

// alone reports whether no agent looks after this process.
func (p *process) alone() bool {
	agent := p.agent.Load()
	if agent == nil {
		return true
	}
	select {
	case <-agent.Done():
		return true
	default:
		return false
	}
}

// orphaned says what to do without an agent. ok is false if it is to end: nobody
// misses a standby, and one that drains already needs no agent for it.
func (p *process) orphaned() (o link.Orphan, ok bool) {
	p.mu.Lock()
	if p.serves != nil && !p.held && !p.stopping {
		o = p.serves.Orphan
	}
	p.mu.Unlock()
	if o.Lease <= 0 {
		return o, false
	}
	p.setPaused(false) // in the middle of a roll, whoever can serve does
	return o, true
}

// keepLink sees to it that agents can come in, even if the runtime folder was
// deleted meanwhile, and reports whether it was.
func (p *process) keepLink() (deleted bool) {
	if _, err := os.Lstat(p.linkPath); err == nil {
		return false
	}
	err := platform.PrivateDir(filepath.Dir(p.linkPath))
	var ln net.Listener
	if err == nil {
		ln, err = platform.ListenControl(p.linkPath)
	}
	if err != nil {
		slog.Warn("no agent can find this process any more", "error", err)
		return true
	}
	go p.accept(ln)
	return true
}

// How often, and with what waits in between, processes start an agent that does
// not last. An agent that has lasted has the count begin anew.
const (
	maxRevivals   = 5
	reviveBackoff = time.Second // before the second try; then twice as long each time
	reviveWait    = 30 * time.Second
	rivalLook     = 100 * time.Millisecond // how often those look who are not the one to start an agent
	rivalLookMax  = 5 * time.Second
)

// seekAgent tries to start an agent until the returned function is called. Of
// all share processes one does it, the one that has the lock.
func (p *process) seekAgent(o link.Orphan) (adopted func()) {
	deleted := p.keepLink()
	ctx, cancel := context.WithCancel(context.Background())
	if o.Exe == "" || o.Revive == "" {
		return cancel
	}
	go func() {
		lock := flock.New(o.Revive, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
		defer lock.Close()
		look := rivalLook
		for ctx.Err() == nil {
			if got, err := lock.TryLock(); err != nil {
				slog.Warn("the lock of who starts an agent can't be had", "error", err)
			} else if got {
				p.revive(ctx, o, deleted)
				return
			}
			pause(ctx, look+rand.N(look))
			look = min(2*look, rivalLookMax)
		}
	}()
	return cancel
}

// revive starts an agent, as often as it takes or makes sense. noLock says that a
// missing lock does not tell that the agent was quit.
func (p *process) revive(ctx context.Context, o link.Orphan, noLock bool) {
	for {
		switch now := agentAt(o.Lock); {
		case now == agentLives: // it comes up, or adopts others first
			noLock = false
			pause(ctx, rivalLook)
			if ctx.Err() != nil {
				return
			}
			continue
		case now == agentQuit && !noLock:
			slog.Info("the agent was quit, draining")
			os.Remove(o.Revive)
			p.stop()
			return
		}
		n := record.Revivals(o.Revive)
		if n >= maxRevivals {
			slog.Error("the agent ended each time it was started: no more tries", "tries", n)
			tellGivenUp(ctx, o)
			<-ctx.Done() // with the lock, so that nobody else tells it again
			return
		}
		if n > 0 {
			pause(ctx, reviveBackoff<<(n-1))
		}
		if ctx.Err() != nil {
			return
		}
		if err := record.SetRevivals(o.Revive, n+1); err != nil {
			slog.Warn("it can't be counted how often an agent is started", "error", err)
		}
		// The file may have been replaced by one that can't run: then, what this
		// process itself runs.
		exe := o.Exe
		if n > 0 && n%2 == 0 {
			exe = platform.OwnImage(exe)
		}
		_ = failpoint.Here("process.revive")
		if err := startAgent(ctx, exe, o.Args); err != nil {
			slog.Warn("an agent was started in vain", "try", n+1, "error", err)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// startAgent starts an agent and returns when it has ended, or ctx has, or when
// it takes too long.
func startAgent(ctx context.Context, exe string, args []string) error {
	cmd := exec.Command(exe, args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr // the agent's log: see supervise.Launch
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return slices.Contains(link.ProcessEnv, v) })
	if err := platform.StartDetached(cmd); err != nil {
		return err
	}
	slog.Info("started an agent", "pid", cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			err = fmt.Errorf("it ended")
		}
		return err
	case <-ctx.Done():
	case <-time.After(reviveWait):
	}
	return nil
}

// What a lock tells of its agent. One that ends in order removes the file.
const (
	agentLives = "lives"
	agentDied  = "died"
	agentQuit  = "quit"
)

func agentAt(path string) string {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	defer lock.Close()
	got, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return agentQuit
	case err == nil && !got:
		return agentLives
	}
	return agentDied
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// tellGivenUp tells the user, whom no agent can tell.
func tellGivenUp(ctx context.Context, o link.Orphan) {
	err := platform.Notify(ctx, platform.Note{
		ID: "agent", Urgent: true, Title: "Sharetray could not be kept running",
		Body: fmt.Sprintf("It ended %d times in a row. What you share stays up for another %v.\nStart it again with: sharetray",
			maxRevivals, o.Lease.Round(time.Minute)),
	})
	if err != nil {
		slog.Warn("a notification was not shown", "error", err)
	}
}

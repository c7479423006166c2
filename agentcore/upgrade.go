package agentcore

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/pulse"
	"sharetray/agentcore/succession"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// This file is how an agent is replaced by one of another program, with nobody
// noticing: see package succession for what the two say to each other.

// UpgradeState says how far an upgrade is.
type UpgradeState string

const (
	UpgradeNeedless UpgradeState = "needless" // the program is the one that runs
	UpgradeRolling  UpgradeState = "rolling"  // the new agent gives the shares new processes
	UpgradeDone     UpgradeState = "done"
	UpgradeFailed   UpgradeState = "failed" // all is as it was before; Reason says why
)

// Upgrade is the replacement of an agent by one of another program. The versions
// are of the programs.
type Upgrade struct {
	State  UpgradeState `json:"state"`
	From   string       `json:"from"`
	To     string       `json:"to"`
	Reason string       `json:"reason,omitempty"`
	Rolled int          `json:"rolled"` // how many shares have a process of the new program
	Of     int          `json:"of"`     // of how many
}

// Upgrade replaces this agent by one of the program exe; "" is the file that this
// one was started from, which may be another by now. It returns when the new
// agent has proved that it can be one, and begins to take over: how that ends is
// in the Info of whoever is the agent then. On an error nothing was changed.
func (a *Agent) Upgrade(exe string) (Upgrade, error) {
	exe = cmp.Or(exe, a.opt.Exe)
	up := Upgrade{From: a.opt.Version, To: a.opt.Version}
	id, err := platform.FileID(exe)
	if err != nil {
		return up, problem.New(problem.Conflict, "there is no program at %s: say which one is to take over", exe)
	}
	if id == platform.ImageID() {
		up.State = UpgradeNeedless
		return up, nil
	}
	if !a.upgrading.TryLock() {
		return up, problem.New(problem.Conflict, "an upgrade is under way already: wait until it is done")
	}
	defer a.upgrading.Unlock()
	if a.ending() {
		return up, errEnding
	}
	heir, err := a.opt.succeed(exe)
	if err != nil {
		a.opt.Log.Error("not upgraded", "to", exe, "error", err)
		return up, err
	}
	if a.ending() {
		heir.Abandon()
		return up, errEnding
	}
	_ = failpoint.Here("upgrade.proved")
	up.State, up.To = UpgradeRolling, heir.Version
	a.opt.Log.Info("making room for another agent", "version", heir.Version, "pid", heir.PID)
	a.heir = heir
	go a.Leave()
	return up, nil
}

var errEnding = problem.New(problem.Unavailable, "the agent is ending: try again when it has")

// ending reports whether this agent is about to end, or to leave.
func (a *Agent) ending() bool {
	select {
	case <-a.ends:
		return true
	default:
		return false
	}
}

// watchProgram looks whether the program that this agent was started from is
// another one by now. One that is still being written is not offered.
func (a *Agent) watchProgram(ctx context.Context) {
	tick := time.NewTimer(pulse.Next())
	defer tick.Stop()
	for last := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tick.Reset(pulse.Next())
		}
		id, err := platform.FileID(a.opt.Exe)
		if err != nil {
			id = "" // it is gone, or away for a moment
		}
		a.outdated.Store(id != "" && id == last && id != platform.ImageID())
		last = id
	}
}

// Leaving reports whether another agent takes over.
func (a *Agent) Leaving() bool { return a.left.Load() }

// succeed starts a program as the agent that is to come after this one.
func (o Options) succeed(exe string) (*succession.Heir, error) {
	return succession.Start(exe, append(slices.Clone(o.Args), "--"+SuccessorFlag), os.Stderr)
}

// Outlive stays with the agent that takes over, if this one has left to one that
// it has started, until all is well. If that one does not last, it starts its own
// program again. It is called once this agent has released its place; taken is
// called when the other one has it.
func (a *Agent) Outlive(stop <-chan struct{}, taken func()) error {
	if a.heir == nil {
		return nil
	}
	_ = failpoint.Here("upgrade.released")
	reason := a.heir.Outlive(succession.Past{Version: a.opt.Version}, stop, taken)
	_ = failpoint.Here("upgrade.outlived")
	if reason == "" {
		a.opt.Log.Info("another agent has taken over", "version", a.heir.Version, "pid", a.heir.PID)
		return nil
	}
	a.opt.Log.Error("the upgrade failed, this program comes back", "reason", reason)
	// Until the next agent is there, nobody else becomes one: the processes that
	// have lost theirs would start what has just failed.
	place, err := takePlace(a.paths, SuccessionPatience)
	if err != nil {
		return err // somebody has
	}
	heir, err := a.opt.succeed(a.opt.image())
	if err := place.release(); err != nil {
		a.opt.Log.Warn("the lock could not be given back", "error", err)
	}
	if err != nil {
		return err
	}
	if again := heir.Outlive(succession.Past{Version: a.heir.Version, Failure: reason}, stop, taken); again != "" {
		return problem.New(problem.Internal, "the upgrade failed (%s), and so did the way back: %s", reason, again)
	}
	return nil
}

// Prove makes sure that this program can be an agent of paths: that it
// understands the user's files, and that its share processes serve.
func Prove(ctx context.Context, paths Paths, opt Options) error {
	ctx, cancel := context.WithTimeout(ctx, proveTime)
	defer cancel()
	_ = failpoint.Here("prove")
	if err := makePlaces(paths); err != nil {
		return err
	}
	l := supervise.Launch{Exe: opt.image(), Role: ShareProcessRole, Links: paths.Links, Version: opt.Version, Stderr: os.Stderr, Left: new(atomic.Bool)}
	if err := supervise.Prove(ctx, l, paths.State); err != nil {
		return problem.New(problem.Internal, "its share processes don't serve: %w", err)
	}
	return nil
}

const proveTime = 20 * time.Second

// Renew gives every share that was taken over with a process of another program
// one of this program, one after the other. It stops at the first that does not
// become ready, which goes on with the process that it has; the error says which
// one that was. moved is called after each.
func (a *Agent) Renew(ctx context.Context, moved func()) error {
	names := a.stale(ctx)
	_ = failpoint.Here("renew.begin")
	a.progress(func(u *Upgrade) { u.Of = len(names) })
	for _, name := range names {
		if err := a.renew(ctx, name); err != nil {
			return err
		}
		_ = failpoint.Here("renew.one")
		a.progress(func(u *Upgrade) { u.Rolled++ })
		moved()
	}
	a.progress(func(u *Upgrade) {
		if u.State = UpgradeDone; u.Reason != "" {
			u.State = UpgradeFailed
		}
	})
	return nil
}

// stale waits until it is known of every process that was found whether it goes
// on, and returns the shares that need a new one.
func (a *Agent) stale(ctx context.Context) (names []string) {
	for _, st := range a.List() {
		sup := a.supervisorOf(st.Name)
		if sup == nil {
			continue
		}
		old := false
		err := sup.Wait(ctx, func(s supervise.State) (bool, error) {
			old = s.Cur.Stale
			return !s.Cur.Found, nil
		})
		if err == nil && old {
			names = append(names, st.Name)
		}
	}
	return names
}

// renew gives a share a process of this program.
func (a *Agent) renew(ctx context.Context, name string) error {
	sup := a.supervisorOf(name)
	if sup == nil {
		return nil // removed meanwhile
	}
	sup.Post(supervise.Event{Kind: supervise.Restart}, nil)
	err := sup.Wait(ctx, func(s supervise.State) (bool, error) {
		switch {
		case !s.Cur.Stale && s.Cur.ID != 0 && s.InForce(), s.Phase == supervise.Stopped, s.Phase == supervise.Stopping:
			return true, nil
		case s.RollError != "":
			return false, problem.New(problem.Conflict, "%s: %s", name, s.RollError)
		case s.Phase == supervise.Failed, s.Phase == supervise.Backoff:
			return false, problem.New(problem.Conflict, "%s did not become ready: %s", name, s.Reason)
		}
		return false, nil
	})
	if errors.Is(err, supervise.ErrGone) && !a.ending() {
		return nil // removed meanwhile
	}
	return err
}

func (a *Agent) progress(change func(*Upgrade)) {
	a.upgradeMu.Lock()
	defer a.upgradeMu.Unlock()
	if a.upgrade != nil {
		change(a.upgrade)
	}
}

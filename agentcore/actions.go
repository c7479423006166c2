package agentcore

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

// Add declares a new share and waits until it is up. A target that is down for
// now is no error, one that can't be shared is; on an error nothing is kept.
func (a *Agent) Add(ctx context.Context, n NewShare) (Status, error) {
	const tries = 5
	for try := 1; ; try++ {
		st, err := a.add(ctx, n)
		// A port that was free when it was chosen may be somebody's by now.
		if errors.Is(err, errPortLost) && n.Keys["port"] == "" && try < tries {
			continue
		}
		return st, err
	}
}

// errPortLost is in the chain of the problem of a share that has no port to
// listen on.
var errPortLost = errors.New("the port is taken")

func (a *Agent) add(ctx context.Context, n NewShare) (Status, error) {
	sh, err := a.create(n)
	if err != nil {
		return Status{}, err
	}
	name := sh.Name.String()
	if sh.Paused {
		return a.Get(name)
	}
	if err := a.waitUp(ctx, name); err != nil {
		_ = a.Remove(context.WithoutCancel(ctx), name)
		return Status{}, err
	}
	return a.Get(name)
}

func (a *Agent) create(n NewShare) (share.Share, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	list := a.List()
	sh, err := a.build(n, list)
	if err != nil {
		return sh, err
	}
	taken := map[uint16]bool{}
	for _, s := range list {
		taken[s.Port] = true
		if s.Port == sh.Port && sh.Port != 0 {
			return sh, problem.New(problem.Conflict, "port %d belongs to the share %s: choose another port", sh.Port, s.Name)
		}
	}
	if sh.Port == 0 {
		if sh.Port, err = freePort(a.paths.Profile, sh, taken); err != nil {
			return sh, err
		}
	} else if err := portIsFree(sh); err != nil {
		return sh, err
	}
	if err := sh.Validate(); err != nil {
		return sh, err
	}
	if err := a.store.Create(sh); err != nil {
		return sh, err
	}
	return sh, a.reloadLocked()
}

// build makes a share of what the user said, with the defaults for the rest.
func (a *Agent) build(n NewShare, list []Status) (share.Share, error) {
	kind := share.Kind(n.Kind)
	if !slices.Contains(share.Kinds, kind) {
		return share.Share{}, problem.New(problem.Invalid, "there is no kind of share %q: it is one of %v", n.Kind, share.Kinds)
	}
	sh := share.Defaults(kind)
	var err error
	if sh.Target, err = share.NormalizeTarget(kind, n.Target); err != nil {
		return sh, err
	}
	if n.Name != "" {
		if sh.Name, err = share.ParseName(n.Name); err != nil {
			return sh, err
		}
	} else {
		sh.Name = share.Suggest(kind, sh.Target, func(name string) bool {
			for _, s := range list {
				if strings.EqualFold(s.Name, name) {
					return true
				}
			}
			return false
		})
	}
	keys, err := Resolve(sh, n.Keys, time.Now())
	if err != nil {
		return sh, err
	}
	for key, value := range keys {
		if err := sh.Set(key, value); err != nil {
			return sh, err
		}
	}
	if err := sh.Validate(); err != nil {
		return sh, err
	}
	return sh, CheckTarget(sh)
}

// Set changes keys of a share and waits until they are in force. On an error
// the file is as it was.
func (a *Agent) Set(ctx context.Context, name string, changes map[string]string) (Status, error) {
	if err := a.change(name, changes); err != nil {
		return Status{}, err
	}
	return a.settled(ctx, name)
}

func (a *Agent) change(name string, changes map[string]string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	now, err := a.usable(name)
	if err != nil {
		return err
	}
	if changes, err = Resolve(now, changes, time.Now()); err != nil {
		return err
	}
	next := now
	for key, value := range changes {
		if err := next.Set(key, value); err != nil {
			return err
		}
	}
	if err := next.Validate(); err != nil {
		return err
	}
	if next.Target != now.Target || next.Dir != now.Dir || next.TLS != now.TLS || next.TLSCert != now.TLSCert || next.TLSKey != now.TLSKey {
		if err := CheckTarget(next); err != nil {
			return err
		}
	}
	if next.Port != now.Port {
		for _, s := range a.List() {
			if s.Port == next.Port && s.Name != now.Name.String() {
				return problem.New(problem.Conflict, "port %d belongs to the share %s: choose another port", next.Port, s.Name)
			}
		}
	}
	if err := supervise.TryBindPatiently(next.Kind, added(now, next)); err != nil {
		return err
	}
	if _, err := a.store.Update(now.Name, changes); err != nil {
		return err
	}
	return a.reloadLocked()
}

// usable returns a share's declaration, if its file can be used.
func (a *Agent) usable(name string) (sh share.Share, err error) {
	err = noSuchShare(name)
	a.do(func(s *set) {
		m := s.find(name)
		switch {
		case m == nil:
		case !m.known || m.spoiled:
			_, _, reason := m.last.State.View()
			err = problem.New(problem.Conflict, "the file of the share %s can't be used: %s", m.name, reason)
		default:
			sh, err = m.share, nil
		}
	})
	return sh, err
}

// Start brings a share up, whether it was stopped or has failed, and waits
// until it is.
func (a *Agent) Start(ctx context.Context, name string) (Status, error) {
	sh, err := a.usable(name)
	if err != nil {
		return Status{}, err
	}
	if sh.Paused {
		err = a.change(name, map[string]string{"paused": "false"})
	} else {
		err = a.post(name, supervise.Event{Kind: supervise.Start})
	}
	if err != nil {
		return Status{}, err
	}
	return a.settled(ctx, name)
}

// Stop ends a share gently and waits until it has; it stays stopped over logins.
func (a *Agent) Stop(ctx context.Context, name string) (Status, error) {
	sh, err := a.usable(name)
	if err != nil {
		return Status{}, err
	}
	if sh.Paused {
		err = a.post(name, supervise.Event{Kind: supervise.Stop})
	} else {
		err = a.change(name, map[string]string{"paused": "true"})
	}
	var unsaved error
	if err != nil {
		// Whoever stops a share wants it to stop, full disk or not.
		unsaved = err
		err = a.post(name, supervise.Event{Kind: supervise.Stop})
	}
	if err != nil {
		return Status{}, err
	}
	err = a.wait(ctx, name, func(st supervise.State) (bool, error) {
		return st.Phase == supervise.Stopped, nil
	})
	if err != nil {
		return Status{}, err
	}
	if unsaved != nil {
		return Status{}, problem.New(problem.Internal, "the share %s is stopped, but comes back with the next agent: %w", name, unsaved)
	}
	return a.Get(name)
}

// Restart rolls a share to a new process, without refusing or cutting anybody,
// and waits until it serves. One that is stopped or has failed is started.
func (a *Agent) Restart(ctx context.Context, name string) (Status, error) {
	sh, err := a.usable(name)
	if err != nil {
		return Status{}, err
	}
	if sh.Paused {
		return a.Start(ctx, name)
	}
	if err := a.post(name, supervise.Event{Kind: supervise.Restart}); err != nil {
		return Status{}, err
	}
	return a.settled(ctx, name)
}

// Remove stops a share and forgets it: its file, its log and its history.
func (a *Agent) Remove(ctx context.Context, name string) error {
	a.changing.Lock()
	var forgotten <-chan struct{}
	err := error(noSuchShare(name))
	a.do(func(s *set) {
		if m := s.find(name); m != nil {
			name, forgotten, err = m.name, m.forgotten, nil
		}
	})
	if err == nil {
		err = a.forget(name)
	}
	if err == nil {
		err = a.reloadLocked()
	}
	a.changing.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-forgotten:
	case <-a.done:
	case <-ctx.Done():
		return problem.New(problem.Conflict, "the share %s is removed; its process is still finishing what is in flight (%w)", name, ctx.Err())
	}
	return nil
}

// forget removes a share's file.
func (a *Agent) forget(name string) error {
	n, err := share.ParseName(name)
	if err != nil {
		return problem.New(problem.Conflict, "the file of %q was not made by Sharetray: remove it by hand (%w)", name, err)
	}
	return a.store.Remove(n)
}

func (a *Agent) post(name string, e supervise.Event) error {
	err := error(noSuchShare(name))
	a.do(func(s *set) {
		if m := s.find(name); m != nil {
			m.supervisor.Post(e, nil)
			err = nil
		}
	})
	return err
}

// supervisorOf returns nil if there is no such share.
func (a *Agent) supervisorOf(name string) (sup *supervise.Supervisor) {
	a.do(func(s *set) {
		if m := s.find(name); m != nil {
			sup = m.supervisor
		}
	})
	return sup
}

func (a *Agent) wait(ctx context.Context, name string, until func(supervise.State) (bool, error)) error {
	sup := a.supervisorOf(name)
	if sup == nil {
		return noSuchShare(name)
	}
	var last atomic.Pointer[supervise.State]
	err := sup.Wait(ctx, func(st supervise.State) (bool, error) {
		last.Store(&st)
		return until(st)
	})
	if st := last.Load(); st != nil && canceled(err) {
		return errStillBusy(name, *st, err)
	}
	return err
}

// waitUp waits until visitors reach what is declared now, or it is known why
// they don't.
func (a *Agent) waitUp(ctx context.Context, name string) error {
	return a.wait(ctx, name, func(st supervise.State) (bool, error) {
		switch {
		case st.RollError != "":
			return true, problem.New(problem.Conflict, "%s: %s", name, st.RollError)
		case st.PortError != "":
			return true, &problem.Problem{Code: problem.Conflict, Sentence: st.PortError, Err: errPortLost}
		case st.Phase == supervise.Backoff && st.Trouble == supervise.PortTrouble:
			return true, &problem.Problem{Code: problem.Conflict, Sentence: st.Reason, Err: errPortLost}
		case st.Phase == supervise.Failed:
			return true, problem.New(problem.Conflict, "%s: %s", name, st.Reason)
		}
		return st.InForce() || st.Phase == supervise.Stopped, nil
	})
}

func (a *Agent) settled(ctx context.Context, name string) (Status, error) {
	if err := a.waitUp(ctx, name); err != nil {
		return Status{}, err
	}
	return a.Get(name)
}

// freePort finds a port for a share that has none yet. It follows from the name
// and the profile, so that a share which is removed and made again gets its link
// back, and lies below the range from which systems take ports for outgoing
// connections.
func freePort(profile string, sh share.Share, taken map[uint16]bool) (uint16, error) {
	const first, count = 20000, 10000
	seed := sh.Name.String()
	if profile != "" {
		seed = profile + "/" + seed // which no name has in it
	}
	h := uint32(2166136261) // FNV-1a
	for _, b := range []byte(seed) {
		h = (h ^ uint32(b)) * 16777619
	}
	for i := range uint32(count) {
		port := uint16(first + (h+i)%count)
		sh.Port = port
		if !taken[port] && sh.Validate() == nil && portIsFree(sh) == nil {
			return port, nil
		}
	}
	return 0, problem.New(problem.Conflict, "no port from %d to %d is free: name one with --port", first, first+count-1)
}

// added returns the addresses at which next listens and now doesn't.
func added(now, next share.Share) []netip.AddrPort {
	held := supervise.Addresses(now)
	return slices.DeleteFunc(supervise.Addresses(next), func(a netip.AddrPort) bool {
		return slices.Contains(held, a)
	})
}

func portIsFree(sh share.Share) error {
	return supervise.TryBind(sh.Kind, supervise.Addresses(sh))
}

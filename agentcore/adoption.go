package agentcore

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sharetray/agentcore/adopt"
	"sharetray/agentcore/history"
	"sharetray/agentcore/link"
	"sharetray/agentcore/record"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/supervise"
)

// This file is how an agent takes over from one that has died, and how it leaves
// its share processes to another one.

// survivors are the share processes that an earlier agent has left, from the
// survey until it is decided about them, which is when the shares are read for
// the first time.
type survivors struct {
	candidates []adopt.Candidate
	decided    bool
	taken      map[string]*supervise.Found   // by share
	drained    map[string][]*supervise.Found // by share
	log        *slog.Logger
}

func survey(ctx context.Context, l supervise.Launch, log *slog.Logger) survivors {
	return survivors{candidates: adopt.Survey(ctx, l, log), log: log}
}

// decide says what becomes of each, by what is declared.
func (v *survivors) decide(entries []store.Entry) {
	if v.decided {
		return
	}
	v.decided = true
	v.taken, v.drained = map[string]*supervise.Found{}, map[string][]*supervise.Found{}
	sights := make([]adopt.Sight, len(v.candidates))
	for i, c := range v.candidates {
		sights[i] = c.Sight
	}
	fates := adopt.Plan(sights, func(name string) adopt.Wish {
		for _, e := range entries {
			switch {
			case e.Name != name:
			case e.Err != nil:
				return adopt.Spoiled
			case e.Share.Paused:
				return adopt.Paused
			default:
				return adopt.Wanted
			}
		}
		return adopt.Unknown
	})
	for i, c := range v.candidates {
		if c.Answer != adopt.Nobody {
			v.log.Info("a share process was there before", "share", c.Share, "link", c.Link, "answer", string(c.Answer), "fate", string(fates[i]))
		}
		switch fates[i] {
		case adopt.Forget:
			c.Forget()
		case adopt.Leave:
			if c.Found != nil {
				c.Found.Forget()
			}
		case adopt.Take:
			v.taken[c.Share] = c.Found
		case adopt.Drain:
			v.drained[c.Share] = append(v.drained[c.Share], c.Found)
		}
	}
	v.candidates = nil
}

// serves is what the process that goes on as a share has been told to serve.
func (v *survivors) serves(name string) (share.Share, bool) {
	if f := v.taken[name]; f != nil && f.Role.Serve != nil {
		return f.Role.Serve.Share, true
	}
	return share.Share{}, false
}

// claim hands out the process that goes on as a share, once.
func (v *survivors) claim(name string) (f *supervise.Found) {
	f = v.taken[name]
	delete(v.taken, name)
	return f
}

// strays are processes that nobody declares any more, and that finish what is in
// flight.
type strays struct {
	all  sync.WaitGroup
	over []context.CancelFunc
}

// drainStrays has those end that are not to go on: with their share, if there is
// one.
func (s *set) drainStrays() {
	a := s.agent
	for name, found := range a.survivors.drained {
		for _, f := range found {
			if m := s.members[name]; m != nil {
				m.supervisor.Retire(f)
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), a.settings.Policy.RollLimit)
			a.strays.over = append(a.strays.over, cancel)
			a.strays.all.Go(func() { f.Retire(ctx) })
		}
	}
	a.survivors.drained = nil
}

// end waits for the strays for as long as a share's stop may take by default, and
// ends them then. Those of an agent that leaves are not waited for.
func (s *strays) end(left bool) {
	wait := share.Defaults(share.Web).StopGrace
	if left {
		wait = 0
	}
	grace := time.AfterFunc(wait, func() {
		for _, cancel := range s.over {
			cancel()
		}
	})
	defer grace.Stop()
	s.all.Wait()
}

// restartsSoFar is how often a share that is taken over was restarted already.
func (a *Agent) restartsSoFar(name string) int {
	entries, err := history.Open(a.paths.History).Read(name, 1)
	if err != nil || len(entries) == 0 {
		return 0
	}
	return entries[0].Restarts
}

// Leave ends this agent at once and leaves its share processes, which serve on,
// to another one.
func (a *Agent) Leave() {
	a.leaving.Do(func() {
		a.opt.Log.Info("another agent takes over")
		a.endsOnce.Do(func() { close(a.ends) })
		a.left.Store(true)
		a.do((*set).leave)
	})
	<-a.done
}

func (s *set) leave() {
	for _, m := range s.members {
		m.supervisor.Leave()
		if !m.gone {
			<-m.supervisor.Done()
		}
	}
	s.left = true
}

// findLost looks for the processes of shares whose port is taken: by such a
// process, if its link was not there when this agent began.
func (a *Agent) findLost(ctx context.Context) {
	lost := map[string]*member{}
	a.do(func(s *set) {
		for _, m := range s.members {
			if st := m.last.State; st.Phase == supervise.Backoff && st.Trouble == supervise.PortTrouble {
				lost[m.name] = m
			}
		}
	})
	if len(lost) == 0 {
		return
	}
	for _, c := range adopt.Survey(ctx, a.launch, a.opt.Log) {
		if m := lost[c.Share]; m != nil && c.Answer == adopt.Ours && c.Duty == link.Serves {
			a.opt.Log.Info("a share process was there before", "share", c.Share, "link", c.Link)
			m.supervisor.Adopt(c.Found, a.restartsSoFar(c.Share))
		} else if c.Found != nil {
			c.Found.Forget()
		}
	}
}

// lastingAge is how old an agent must get to have lasted: share processes that
// have started it in place of a dead one begin to count anew, and start the next
// one at once. It is the age that a share process needs for that, too.
const lastingAge = time.Second

func (a *Agent) countRevivals(ctx context.Context) {
	if a.opt.Revived {
		select {
		case <-time.After(lastingAge):
		case <-ctx.Done():
			return
		}
	}
	if record.Revivals(a.paths.Revive) == 0 {
		return
	}
	if err := record.SetRevivals(a.paths.Revive, 0); err != nil {
		a.opt.Log.Warn("how often an agent was started could not be forgotten", "error", err)
	}
}

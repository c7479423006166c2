package agentcore

import (
	"sort"
	"strings"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/supervise"
)

// set is what the agent's goroutine owns.
type set struct {
	agent       *Agent
	members     map[string]*member // by file name, as declared
	subscribers []chan Event
	quitting    bool
	left        bool
	announced   bool // something is
}

// member is one share in the set.
type member struct {
	name       string
	file       string
	share      share.Share
	known      bool // share holds a good declaration
	spoiled    bool // its file can't be used now
	declared   bool // there is a file for it
	gone       bool // its supervisor has ended; of a declared share, because the agent does
	supervisor *supervise.Supervisor
	last       supervise.Report
	heard      share.Share // of the last report
	crier      *crier
	forgotten  chan struct{} // closed when it was removed, and nothing is left of it
}

func (s *set) ended() bool {
	if s.left {
		return true
	}
	if !s.quitting {
		return false
	}
	for _, m := range s.members {
		if !m.gone {
			return false
		}
	}
	return true
}

func (s *set) stopAll() {
	s.quitting = true
	for _, m := range s.members {
		m.supervisor.Post(supervise.Event{Kind: supervise.Stop, Final: true}, nil)
	}
}

func (s *set) find(name string) *member {
	if m := s.members[name]; m != nil {
		return m
	}
	for _, m := range s.members {
		if strings.EqualFold(m.name, name) {
			return m
		}
	}
	return nil
}

func (s *set) list() []Status {
	list := make([]Status, 0, len(s.members))
	for _, m := range s.members {
		list = append(list, m.status())
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// reconcile brings the members in line with the files.
func (s *set) reconcile(entries []store.Entry) {
	if s.quitting {
		return
	}
	s.agent.survivors.decide(entries)
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Name] = true
		m := s.members[e.Name]
		if m != nil && !m.declared {
			continue // its namesake is on its way out; reconciled again when it is gone
		}
		if m == nil {
			m = s.add(e)
		}
		m.file = e.File
		if e.Err != nil {
			if sh, ok := s.agent.survivors.serves(e.Name); ok { // the last good one
				s.declare(m, sh)
			}
			m.spoiled = true
			m.supervisor.Post(supervise.Event{Kind: supervise.Spoil, Reason: problem.Sentence(e.Err)}, nil)
			continue
		}
		s.declare(m, e.Share)
	}
	s.drainStrays()
	for name, m := range s.members {
		if !seen[name] && m.declared {
			m.declared = false
			m.supervisor.Post(supervise.Event{Kind: supervise.Stop, Final: true}, nil)
		}
	}
}

func (s *set) add(e store.Entry) *member {
	m := &member{name: e.Name, declared: true, crier: s.agent.crier, forgotten: make(chan struct{})}
	m.last = supervise.Report{State: supervise.New(time.Now())}
	m.supervisor = supervise.NewSupervisor(supervise.Config{
		Policy: s.agent.settings.Policy, Pool: s.agent.pool, Log: s.agent.logOf, Orphan: s.agent.orphan,
		Logger: s.agent.opt.Log,
		Report: func(r supervise.Report) {
			s.agent.mail.Put(func(s *set) { s.hear(m, r) })
		},
	})
	s.members[e.Name] = m
	return m
}

// declare tells the supervisor what the file says now, if it says anything new.
func (s *set) declare(m *member, sh share.Share) {
	old, first := m.share, !m.known
	if !first && old == sh && !m.spoiled {
		return
	}
	m.share, m.known, m.spoiled = sh, true, false
	m.supervisor.Post(supervise.Event{Kind: supervise.Declare, StopGrace: sh.StopGrace,
		Roll: first || !old.ServedLike(sh)}, &sh)
	if f := s.agent.survivors.claim(m.name); f != nil {
		m.supervisor.Adopt(f, s.agent.restartsSoFar(m.name))
		return
	}
	switch {
	case first && !sh.Paused, old.Paused && !sh.Paused:
		m.supervisor.Post(supervise.Event{Kind: supervise.Start}, nil)
	case !first && sh.Paused && !old.Paused:
		m.supervisor.Post(supervise.Event{Kind: supervise.Stop}, nil)
	}
}

// hear takes what a supervisor says.
func (s *set) hear(m *member, r supervise.Report) {
	now := time.Now()
	for _, e := range happened(m.last.State, r, now) {
		s.agent.scribe.remember(m.name, e)
	}
	before := m.last.State.Phase
	m.last = r
	if isUp(before) != isUp(r.State.Phase) || r.Share != m.heard {
		m.heard = r.Share
		s.announce()
	}
	if r.Visit != nil {
		s.publish(Event{Type: EventType(r.Visit.What), Time: now, Share: m.status(), Visit: r.Visit})
		return
	}
	if m.gone = r.Gone; m.gone && !m.declared {
		go s.agent.forgetMember(m, s.agent.scribe.forget(m.name))
		return
	}
	status := m.status()
	for _, n := range r.Notices {
		s.agent.scribe.note(m.name, n)
		s.publish(Event{Type: EventType(n.Kind), Time: now, Share: status, Cause: n.Cause, Downtime: n.Downtime})
	}
	s.publish(Event{Type: Changed, Time: now, Share: status})
}

// forgetMember takes a share that was removed out of the set, once its log and
// its history are gone: the next share of that name begins new ones.
func (a *Agent) forgetMember(m *member, gone <-chan struct{}) {
	<-gone
	a.do(func(s *set) {
		delete(s.members, m.name)
		s.publish(Event{Type: Removed, Time: time.Now(), Share: m.status()})
	})
	close(m.forgotten)
	_ = a.reload() // a new file of that name may have waited
}

func (s *set) publish(e Event) {
	kept := s.subscribers[:0]
	for _, ch := range s.subscribers {
		select {
		case ch <- e:
			kept = append(kept, ch)
		default:
			close(ch) // too slow: it subscribes anew and sees the present
		}
	}
	clear(s.subscribers[len(kept):])
	s.subscribers = kept
}

func (s *set) unsubscribe(ch chan Event) {
	for i, c := range s.subscribers {
		if c == ch {
			s.subscribers = append(s.subscribers[:i], s.subscribers[i+1:]...)
			close(ch)
			return
		}
	}
}

func (s *set) closeSubscribers() {
	for _, ch := range s.subscribers {
		close(ch)
	}
	s.subscribers = nil
}

package agentcore

import (
	"context"
	"time"

	"sharetray/agentcore/announce"
	"sharetray/agentcore/mailbox"
	"sharetray/agentcore/pulse"
	"sharetray/agentcore/reach"
	"sharetray/agentcore/share"
)

// crier has the shares announced that other devices can reach. It has a goroutine of
// its own, as a bus or a network may be slow.
type crier struct {
	announcer *announce.Announcer
	mail      *mailbox.Box[[]announce.Service]
}

func (a *Agent) startCrier(ctx context.Context) {
	a.crier = &crier{announce.New(a.opt.Log), mailbox.New[[]announce.Service]()}
	go a.crier.run(ctx)
}

// run announces what it was told last, and looks after this computer's addresses
// while it does.
func (c *crier) run(ctx context.Context) {
	defer c.announcer.Close()
	var services []announce.Service
	for {
		var look <-chan time.Time
		if len(services) > 0 {
			look = time.After(pulse.Next())
		}
		select {
		case <-ctx.Done():
			return
		case <-c.mail.Ready():
			for _, services = range c.mail.Take() {
			}
		case <-look:
		}
		if len(services) == 0 {
			c.announcer.Close()
			continue
		}
		c.announcer.Set(services, reach.Addrs())
	}
}

// announce tells the crier what can be reached now.
func (s *set) announce() {
	services := []announce.Service{}
	isOpen := false
	for _, m := range s.members {
		isOpen = isOpen || m.share.Reach == share.LAN
	}
	if !isOpen && !s.announced {
		return
	}
	for _, st := range s.list() {
		if st.Reach != share.LAN || !isUp(st.State) || !st.Kind.IsHTTP() || st.Kind == share.Command && len(st.URLs) == 0 {
			continue
		}
		svc := announce.Service{Name: st.Name, Type: "_http._tcp", Port: st.Port, Path: "/"}
		m := s.members[st.Name]
		switch {
		case m == nil || m.share.Secret != "": // the link is the password
			continue
		case m.share.TLS == share.LocalTLS || m.share.TLS == share.OwnTLS:
			svc.Type = "_https._tcp"
		case st.Kind == share.Drive:
			svc.Type = "_webdav._tcp"
		}
		services = append(services, svc)
	}
	if len(services) > 0 || s.announced {
		s.announced = len(services) > 0
		s.agent.crier.mail.Put(services)
	}
}

// host is this computer's name in its networks, if it is answered for.
func (m *member) host() string {
	if m.crier == nil || !m.crier.announcer.Answers() {
		return ""
	}
	return announce.Host()
}

package process

import (
	"time"

	"sharetray/agentcore/process/forward"
	"sharetray/agentcore/share"
)

func init() { kinds[share.UDP] = newUDP }

// never is as good as that.
const never = 365 * 24 * time.Hour

// newUDP forwards datagrams to an address.
func newUDP(s share.Share, env kindEnv) (kind, error) {
	k, err := newCarried(s, env)
	if err != nil {
		return nil, err
	}
	if s.Idle == 0 {
		s.Idle = never
	}
	var f *forward.UDP
	f, err = forward.NewUDP(s.Target, forward.UDPOptions{
		Door: k.door, Sessions: s.Sessions, Idle: s.Idle, Probe: k.probe,
		Changed: func() { k.watch.report(f.TargetError()) },
	})
	if err != nil {
		return nil, err
	}
	k.forward, k.udp = f, f
	k.watchTarget(f.Check, never, env) // there is nothing to look at while it is up
	return k, nil
}

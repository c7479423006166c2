package process

import (
	"net/netip"

	"sharetray/agentcore/process/forward"
	"sharetray/agentcore/share"
)

func init() { kinds[share.UDP] = newUDP }

// newUDP forwards datagrams to an address.
func newUDP(s share.Share, env kindEnv) (kind, error) {
	k, err := newCarried(s, env)
	if err != nil {
		return nil, err
	}
	var f *forward.UDP
	f, err = forward.NewUDP(s.Target, forward.UDPOptions{
		Sessions: s.Sessions, Idle: s.Idle,
		Probe: func(from netip.AddrPort) ([]byte, bool) {
			k.visit()
			if answer, ok := k.door.probes.probe(from); ok {
				return answer, true
			}
			return nil, !k.door.opens(from) // an empty answer is none
		},
		Changed: func() { k.watch.report(f.TargetError()) },
	})
	if err != nil {
		return nil, err
	}
	k.forward, k.udp = f, f
	k.watchTarget(f.Check, env)
	return k, nil
}

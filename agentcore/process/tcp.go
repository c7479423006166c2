package process

import (
	"time"

	"sharetray/agentcore/process/forward"
	"sharetray/agentcore/share"
)

func init() { kinds[share.TCP] = newTCP }

// mostConns is how many connections are forwarded at the same time, if the share
// has no limit of its own: each takes two descriptors.
const mostConns = 16384

// forwardOptions are those of every forwarder of connections.
func (k *carried) forwardOptions(s share.Share, changed func()) forward.Options {
	return forward.Options{Door: k.door, Conns: mostConns, Idle: s.Idle, Probe: k.probe, Changed: changed}
}

// lookPort is how often a target is looked at while it is up and nobody visits:
// servers that speak first log a line for each.
const lookPort = time.Minute

// newTCP forwards connections to an address.
func newTCP(s share.Share, env kindEnv) (kind, error) {
	k, err := newCarried(s, env)
	if err != nil {
		return nil, err
	}
	var f *forward.TCP
	f, err = forward.NewTCP(s.Target, k.forwardOptions(s, func() { k.watch.report(f.TargetError()) }))
	if err != nil {
		return nil, err
	}
	k.forward, k.tcp = f, f.Serve
	k.watchTarget(f.Check, lookPort, env)
	return k, nil
}

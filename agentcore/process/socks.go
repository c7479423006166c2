package process

import (
	"time"

	"sharetray/agentcore/process/access"
	"sharetray/agentcore/process/forward"
	"sharetray/agentcore/share"
)

func init() { kinds[share.SOCKS] = newSOCKS }

// newSOCKS lets visitors connect to the destinations that are allowed.
func newSOCKS(s share.Share, env kindEnv) (kind, error) {
	k, err := newCarried(s, env)
	if err != nil {
		return nil, err
	}
	allow, err := forward.ParseAllow(s.Destinations.Values()...)
	if err != nil {
		return nil, err
	}
	users := usersOf(s)
	f, err := forward.NewSOCKS(forward.SOCKSOptions{
		Options: k.forwardOptions(s, nil), Users: users, Open: len(users) == 0, Allow: allow, Throttle: access.NewThrottle(time.Now),
	})
	if err != nil {
		return nil, err
	}
	k.forward, k.tcp = f, f.Serve
	return k, nil
}

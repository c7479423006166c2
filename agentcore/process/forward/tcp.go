package forward

import (
	"context"
	"errors"
	"net"
)

// TCP forwards each connection to one target.
//
// While nothing listens there, a visitor waits for Options.Patience, and is then
// reset: most programs are back within seconds of a restart, and a visitor who
// waits does not notice, whereas one who waits for long does not know why. What
// he sends meanwhile stays in the kernel.
type TCP struct {
	*server
	*target
}

// NewTCP forwards to target, which is "host:port" or "unix:/path". It does not
// connect yet.
func NewTCP(target string, opt Options) (*TCP, error) {
	opt = opt.withDefaults()
	t, err := newTarget("tcp", target, opt.Changed)
	if err != nil {
		return nil, err
	}
	f := &TCP{target: t}
	f.server = newServer(opt, f.forward)
	return f, nil
}

// Check connects to the target, once, and returns what TargetError says from
// then on. The target sees a connection that ends without a byte.
func (f *TCP) Check(ctx context.Context) string {
	c, err := f.dial(ctx, f.opt.DialTimeout)
	if err == nil {
		c.Close()
	} else if errors.Is(ctx.Err(), context.DeadlineExceeded) { // the caller's own patience is over: an answer, too
		f.found(ctx.Err())
	}
	return f.TargetError()
}

func (f *TCP) forward(ctx context.Context, visitor net.Conn) (served bool) {
	if !f.enter() {
		return false
	}
	defer f.leave()
	c, err := f.dialPatiently(ctx, f.opt.DialTimeout, f.opt.Patience)
	return err == nil && f.relay(visitor, c)
}

// relay connects a visitor to a target, until both are done.
func (s *server) relay(visitor, target net.Conn) (served bool) {
	if !s.track(target) {
		return false
	}
	defer s.untrack(target)
	r := relay{visitor: visitor, target: target, in: &s.in, out: &s.out, idle: s.opt.Idle}
	r.run()
	return true
}

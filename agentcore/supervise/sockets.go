package supervise

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/reach"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// Addresses are where a share listens: the one to probe first, then those of this
// computer alone, then the best ones to give away. A share that is
// reached from the network listens on each of this computer's addresses, not on
// the wildcard: so a change of reach only adds sockets or gives some up, and
// those that stay never refuse anybody.
func Addresses(sh share.Share) []netip.AddrPort {
	addrs := []netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), sh.Port),
		netip.AddrPortFrom(netip.IPv6Loopback(), sh.Port),
	}
	if sh.Reach == share.LAN {
		for _, a := range reach.Addrs() {
			addrs = append(addrs, netip.AddrPortFrom(a.Addr, sh.Port))
		}
	}
	return addrs
}

// addresses are where the share listens: at its own port, and at those that its
// process has asked for.
func (l *loop) addresses() []netip.AddrPort {
	addrs := Addresses(l.share)
	for _, port := range l.more {
		addrs = append(addrs, atPort(l.share, port)...)
	}
	return addrs
}

func atPort(sh share.Share, port uint16) []netip.AddrPort {
	sh.Port = port
	return Addresses(sh)
}

// bindMore binds ports that a process needs besides the share's own.
func bindMore(sh share.Share, ports []uint16) (sockets, error) {
	bound := sockets{}
	for _, port := range ports {
		if err := bound.hold(sh.Kind, atPort(sh, port)); err != nil {
			bound.trim(nil)
			return nil, err
		}
	}
	return bound, nil
}

// gotMore takes the sockets that a process was given besides the share's own.
func (l *loop) gotMore(ports []uint16, bound sockets) {
	if ports != nil {
		l.more = ports
	}
	maps.Copy(l.socks, bound)
}

func (s sockets) all() []*platform.Socket { return slices.Collect(maps.Values(s)) }

// TryBind reports why want can't all be bound, without holding any.
func TryBind(kind share.Kind, want []netip.AddrPort) error {
	tried := sockets{}
	defer tried.trim(nil)
	return tried.hold(kind, want)
}

// TryBindPatiently is TryBind that gives a process which was replaced a moment ago
// the time to let go.
func TryBindPatiently(kind share.Kind, want []netip.AddrPort) (err error) {
	for try := range letGoTries {
		if try > 0 {
			time.Sleep(letGoPause)
		}
		if err = TryBind(kind, want); !problem.Is(err, problem.Conflict) {
			break
		}
	}
	return err
}

// sockets are the listening sockets held for one share.
type sockets map[netip.AddrPort]*platform.Socket

// hold binds those of want that are not held yet. IPv6 is left out where this
// computer has none. On an error nothing has changed.
func (s sockets) hold(kind share.Kind, want []netip.AddrPort) error {
	listen := platform.Listen
	if kind == share.UDP {
		listen = platform.ListenPacket
	}
	var fresh []*platform.Socket
	for _, addr := range want {
		if held := s[addr]; held != nil && held.IsUDP() == (kind == share.UDP) {
			continue
		}
		sock, err := listen(addr)
		if err != nil && addr.Addr().Is6() && platform.IsNoSuchAddr(err) {
			continue
		}
		if err != nil {
			for _, f := range fresh {
				f.Close()
			}
			return bindError(addr, kind == share.UDP, err)
		}
		fresh = append(fresh, sock)
	}
	for _, f := range fresh {
		if past := s[f.Addr()]; past != nil { // the share was of another kind
			past.Close()
		}
		s[f.Addr()] = f
	}
	return nil
}

// trim gives up what is not in want.
func (s sockets) trim(want []netip.AddrPort) {
	keep := map[netip.AddrPort]bool{}
	for _, a := range want {
		keep[a] = true
	}
	for a, sock := range s {
		if !keep[a] {
			sock.Close()
			delete(s, a)
		}
	}
}

// release gives up all, for good: the process that has them too is to answer
// who is there already, and nobody else.
func (s sockets) release() {
	for _, sock := range s {
		_ = sock.StopNew() // a system that can't resets who comes at the last instant
	}
	s.trim(nil)
}

// lend returns second holds on those of want that are held.
func (s sockets) lend(want []netip.AddrPort) (lent []*platform.Socket, err error) {
	for _, a := range want {
		if s[a] == nil {
			continue
		}
		d, err := s[a].Dup()
		if err != nil {
			closeAll(lent)
			return nil, err
		}
		lent = append(lent, d)
	}
	if len(lent) == 0 {
		return nil, errors.New("there is no socket to serve on")
	}
	return lent, nil
}

func closeAll(socks []*platform.Socket) {
	for _, s := range socks {
		s.Close()
	}
}

// bindError says why addr could not be bound, and what to do about it.
func bindError(addr netip.AddrPort, udp bool, err error) error {
	port := addr.Port()
	switch {
	case platform.IsAddrInUse(err):
		holder := "another program"
		if pid, name, ok := platform.PortHolder(port, udp); ok && pid == os.Getpid() {
			holder = "another share"
		} else if ok {
			holder = fmt.Sprintf("%s (pid %d)", name, pid)
		}
		return bindProblem(problem.Conflict, err, "port %d is in use by %s: choose another port, or end that program", port, holder)
	case platform.IsNoPermission(err):
		return bindProblem(problem.Invalid, err, "port %d needs administrator rights: choose a port from 1024 up", port)
	}
	return problem.New(problem.Conflict, "port %d can't be opened on %s: %w", port, addr.Addr(), err)
}

// bindProblem keeps the cause for the log and out of the sentence.
func bindProblem(code problem.Code, cause error, format string, args ...any) error {
	p := problem.New(code, format, args...)
	p.Err = cause
	return p
}

package forward

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sharetray/agentcore/password"
)

// defaultHandshake is how long a visitor has, from the first byte to the
// destination asked for, however slowly the bytes come.
const defaultHandshake = 10 * time.Second

// maxHandshakes is how many visitors may shake hands at the same time.
const maxHandshakes = 256

// lastWords is how long a visitor may take to read why he was not served.
const lastWords = time.Second

// What SOCKS5 says on the wire (RFC 1928, RFC 1929).
const (
	socksVersion = 5
	authVersion  = 1

	methodNone     = 0
	methodPassword = 2
	methodNoneFits = 0xff

	commandConnect = 1

	addrIPv4 = 1
	addrName = 3
	addrIPv6 = 4

	replyDone        = 0
	replyFailed      = 1
	replyNotAllowed  = 2
	replyNetwork     = 3
	replyHost        = 4
	replyRefused     = 5
	replyNoCommand   = 7
	replyNoAddrKind  = 8
	authOK, authFail = 0, 1
)

var errDenied = errors.New("the destination is not allowed")

// SOCKSOptions are what a SOCKS proxy is told, beside what every forwarder is.
type SOCKSOptions struct {
	Options // Door's Came is told of those whose password was right

	// Users are names and the bcrypt hashes of their passwords. No users is an
	// error, unless Open says that anybody may come in.
	Users map[string][]byte
	Open  bool

	Allow     Allow         // the destinations; the zero value allows none
	Handshake time.Duration // until a destination is asked for; 0: 10 s
	Throttle  Throttle      // nil: failed logins are not slowed

	// Lookup returns the addresses of a name; nil: as this computer does.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
}

// Throttle slows logins down, by the address that they come from. Its methods
// are called from several goroutines.
type Throttle interface {
	// Wait returns when addr may try to log in, or an error if it may not. ctx
	// ends when the handshake has taken too long.
	Wait(ctx context.Context, addr netip.Addr) error
	// Tried is told how it went.
	Tried(addr netip.Addr, ok bool)
}

// SOCKS is a proxy that connects visitors to destinations of their choice, of
// those that are allowed (RFC 1928). It has the command CONNECT only: BIND and
// UDP ASSOCIATE need further ports, which nobody holds over a crash, and are
// refused with the code for that.
type SOCKS struct {
	*server
	opt       SOCKSOptions
	came      func(netip.AddrPort)
	passwords *password.Checker

	door    sync.Mutex
	greeted list.List // connections (net.Conn) whose handshake is not over, the oldest first
}

// NewSOCKS makes a proxy. An error is one of the options.
func NewSOCKS(opt SOCKSOptions) (*SOCKS, error) {
	if len(opt.Users) == 0 != opt.Open {
		return nil, errors.New("a proxy has users, or is open on purpose")
	}
	for name, hash := range opt.Users {
		if _, err := bcrypt.Cost(hash); err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		if name == "" || len(name) > 255 {
			return nil, fmt.Errorf("user %q: a name has 1 to 255 bytes", name)
		}
	}
	if opt.Handshake <= 0 {
		opt.Handshake = defaultHandshake
	}
	if opt.Lookup == nil {
		opt.Lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	opt.Door = opt.Door.withDefaults()
	came := opt.Came
	opt.Came = nil
	f := &SOCKS{opt: opt, came: came, passwords: password.NewChecker(opt.Users)}
	f.server = newServer(opt.Options, f.serve)
	return f, nil
}

func (f *SOCKS) serve(ctx context.Context, visitor net.Conn) (served bool) {
	host, port, err := f.greet(ctx, visitor)
	if err != nil {
		bye(visitor)
		return false
	}
	f.came(addrPort(visitor.RemoteAddr()))
	if !f.enter() {
		_ = reply(visitor, replyFailed)
		bye(visitor)
		return false
	}
	defer f.leave()
	target, code := f.dial(ctx, host, port)
	_ = visitor.SetDeadline(time.Now().Add(lastWords))
	if err := reply(visitor, code); err != nil || target == nil {
		if target != nil {
			target.Close()
		}
		bye(visitor)
		return false
	}
	_ = visitor.SetDeadline(time.Time{})
	return f.relay(visitor, target)
}

// greet shakes hands, within the time for that. Who has not said what he wants
// takes no slot from those who are served, and when too many don't, the one who
// has taken longest has to go.
func (f *SOCKS) greet(ctx context.Context, visitor net.Conn) (host string, port uint16, err error) {
	late := time.Now().Add(f.opt.Handshake)
	_ = visitor.SetDeadline(late)
	shake, cancel := context.WithDeadline(ctx, late)
	defer cancel()
	f.door.Lock()
	if f.greeted.Len() >= maxHandshakes {
		reset(f.greeted.Remove(f.greeted.Front()).(net.Conn))
	}
	me := f.greeted.PushBack(visitor)
	f.door.Unlock()
	defer func() {
		f.door.Lock()
		f.greeted.Remove(me)
		f.door.Unlock()
	}()
	host, port, err = f.handshake(shake, visitor)
	_ = visitor.SetDeadline(time.Now().Add(f.server.opt.Patience + f.server.opt.DialTimeout))
	return host, port, err
}

// bye ends a connection so that the last answer arrives: a system that closes
// with bytes unread resets, and what was sent may be lost.
func bye(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(lastWords))
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(struct{ io.Writer }{io.Discard}, c, 64<<10)
	}
}

// handshake reads what the visitor wants. It reads no byte too much: what
// follows is for the destination. An error has been answered if it can be.
func (f *SOCKS) handshake(ctx context.Context, c net.Conn) (host string, port uint16, err error) {
	var b [256]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return "", 0, err
	}
	if b[0] != socksVersion {
		return "", 0, errors.New("not SOCKS5")
	}
	methods := b[:b[1]]
	if _, err := io.ReadFull(c, methods); err != nil {
		return "", 0, err
	}
	want := byte(methodPassword)
	if f.opt.Open {
		want = methodNone
	}
	if !bytes.Contains(methods, []byte{want}) {
		_, _ = c.Write([]byte{socksVersion, methodNoneFits})
		return "", 0, errors.New("no method in common")
	}
	if _, err := c.Write([]byte{socksVersion, want}); err != nil {
		return "", 0, err
	}
	if want == methodPassword {
		if err := f.login(ctx, c); err != nil {
			return "", 0, err
		}
	}

	if _, err := io.ReadFull(c, b[:4]); err != nil { // version, command, reserved, kind of address
		return "", 0, err
	}
	if b[0] != socksVersion {
		return "", 0, errors.New("not SOCKS5")
	}
	command, kind := b[1], b[3]
	var addr []byte
	switch kind {
	case addrIPv4:
		addr = b[:4]
	case addrIPv6:
		addr = b[:16]
	case addrName:
		if _, err := io.ReadFull(c, b[:1]); err != nil {
			return "", 0, err
		}
		addr = b[:b[0]]
	default:
		_ = reply(c, replyNoAddrKind)
		return "", 0, errors.New("unknown kind of address")
	}
	if _, err := io.ReadFull(c, addr); err != nil {
		return "", 0, err
	}
	if kind == addrName {
		host = string(addr)
	} else {
		ip, _ := netip.AddrFromSlice(addr)
		host = ip.Unmap().String()
	}
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return "", 0, err
	}
	if command != commandConnect {
		_ = reply(c, replyNoCommand)
		return "", 0, errors.New("unknown command")
	}
	return host, uint16(b[0])<<8 | uint16(b[1]), nil
}

// login reads a name and a password (RFC 1929).
func (f *SOCKS) login(ctx context.Context, c net.Conn) error {
	var b [256]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return err
	}
	if b[0] != authVersion {
		return errors.New("unknown version of the login")
	}
	name := b[:b[1]]
	if _, err := io.ReadFull(c, name); err != nil {
		return err
	}
	user := string(name)
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		return err
	}
	secret := b[:b[0]]
	if _, err := io.ReadFull(c, secret); err != nil {
		return err
	}
	from := addrPort(c.RemoteAddr()).Addr()
	ok, err := f.passwords.Match(ctx, user, secret, func() error {
		if f.opt.Throttle == nil {
			return nil
		}
		return f.opt.Throttle.Wait(ctx, from)
	})
	if err != nil { // nothing is known about the password
		_ = c.SetDeadline(time.Now().Add(lastWords)) // the other one may be over
		_, _ = c.Write([]byte{authVersion, authFail})
		return err
	}
	if f.opt.Throttle != nil {
		f.opt.Throttle.Tried(from, ok)
	}
	if !ok {
		_, _ = c.Write([]byte{authVersion, authFail})
		return errors.New("wrong name or password")
	}
	_, err = c.Write([]byte{authVersion, authOK})
	return err
}

// reply answers a request. It does not tell from which address this computer
// connects: a visitor needs to know that for BIND only.
func reply(c net.Conn, code byte) error {
	_, err := c.Write([]byte{socksVersion, code, 0, addrIPv4, 0, 0, 0, 0, 0, 0})
	return err
}

// dial connects to an address that was checked, and to no other: names are not
// looked up a second time.
func (f *SOCKS) dial(ctx context.Context, host string, port uint16) (net.Conn, byte) {
	ctx, cancel := context.WithTimeout(ctx, f.server.opt.DialTimeout)
	defer cancel()
	addrs, err := f.opt.Allow.resolve(ctx, host, port, f.opt.Lookup)
	for i, a := range addrs {
		var c net.Conn
		d := net.Dialer{Timeout: f.server.opt.DialTimeout / time.Duration(min(len(addrs)-i, 2))}
		if c, err = d.DialContext(ctx, "tcp", a.String()); err == nil {
			return c, replyDone
		}
	}
	return nil, replyOf(err)
}

func replyOf(err error) byte {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, errDenied):
		return replyNotAllowed
	case errors.As(err, &dns), errors.Is(err, syscall.EHOSTUNREACH):
		return replyHost
	case isRefused(err):
		return replyRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return replyNetwork
	case errors.As(err, &timeout) && timeout.Timeout():
		return replyHost
	}
	return replyFailed
}

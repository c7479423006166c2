package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// Socket is a listening TCP socket, or one for UDP, that is held, not used.
type Socket struct{ addr netip.AddrPort }

func unsupported(what string) error {
	return fmt.Errorf("%s: %w", what, ErrUnsupported)
}

// Listen binds addr and starts listening.
func Listen(netip.AddrPort) (*Socket, error) { return nil, unsupported("hold a socket") }

// ListenPacket binds addr for datagrams.
func ListenPacket(netip.AddrPort) (*Socket, error) { return nil, unsupported("hold a socket") }

// HoldPacketConn returns a hold on the socket of conn.
func HoldPacketConn(*net.UDPConn) (*Socket, error) { return nil, unsupported("hold a socket") }

// PacketConn turns the socket into one to receive datagrams on.
func (s *Socket) PacketConn() (*net.UDPConn, error) {
	return nil, unsupported("receive on a held socket")
}

// IsUDP reports whether the socket is for datagrams.
func (s *Socket) IsUDP() bool { return false }

// BindSource gives a socket that is about to connect a port.
func BindSource(syscall.RawConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, unsupported("choose from where to connect")
}

// Addr is the address the socket is bound to.
func (s *Socket) Addr() netip.AddrPort { return s.addr }

// Dup returns a second hold on the same socket.
func (s *Socket) Dup() (*Socket, error) { return nil, unsupported("hold a socket twice") }

// Close gives up this process's hold.
func (s *Socket) Close() error { return unsupported("close a held socket") }

// Waiting reports whether somebody waits for being accepted.
func (s *Socket) Waiting() bool { return false }

// Listener turns the socket into a listener to accept on.
func (s *Socket) Listener() (*net.TCPListener, error) {
	return nil, unsupported("accept on a held socket")
}

// WriteFrame sends one message over a link, with sockets attached to it.
func WriteFrame(net.Conn, []byte, []*Socket) error { return unsupported("write to a link") }

// ReadFrame receives what WriteFrame sent.
func ReadFrame(net.Conn) ([]byte, []*Socket, error) { return nil, nil, unsupported("read a link") }

// IsAddrInUse reports whether err says that the address is taken.
func IsAddrInUse(error) bool { return false }

// IsNoPermission reports whether err says that the rights are missing.
func IsNoPermission(error) bool { return false }

// IsNoSuchAddr reports whether err says that this computer does not have the address.
func IsNoSuchAddr(error) bool { return false }

// IsConnRefused reports whether err says that nothing listens there.
func IsConnRefused(error) bool { return false }

// StartChild starts a share process with a link.
func StartChild(string, []string, []string, string, *os.File) (*Child, error) {
	return nil, unsupported("start a share process")
}

// InheritedLink is the share process's side of StartChild.
func InheritedLink(string) (net.Listener, error) { return nil, unsupported("use a link") }

// RemoveLink removes what a share process leaves in the folder of links.
func RemoveLink(string) {}

// StopSignals are the signals that ask a process of ours to end gently.
func StopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// AskToStop asks a share process to finish what is in flight and to exit.
func AskToStop(int) error { return unsupported("ask a share process to stop") }

// KillGroup ends the process and its descendants, at once.
func KillGroup(int) error { return unsupported("end a share process") }

// ExitCause says in plain words how a process ended.
func ExitCause(ps *os.ProcessState) string {
	return fmt.Sprintf("it exited with code %d", ps.ExitCode())
}

// StartDetached starts cmd so that it outlives the process that started it.
func StartDetached(cmd *exec.Cmd) error { return unsupported("start the agent in the background") }

// ListenControl listens for local programs of this user.
func ListenControl(string) (net.Listener, error) {
	return nil, unsupported("listen on the control pipe")
}

// DialControl connects to an agent's control pipe.
func DialControl(context.Context, string) (net.Conn, error) {
	return nil, unsupported("dial the control pipe")
}

// IsNobodyThere reports whether a dial failed because no agent listens.
func IsNobodyThere(error) bool { return false }

func checkPrivate(path string) error { return nil }

// HoldListener returns a hold on the socket that a listener accepts on.
func HoldListener(*net.TCPListener) (*Socket, error) {
	return nil, unsupported("hold a listener's socket")
}

// FindChild connects to a share process that runs already.
func FindChild(string) (link, life net.Conn, err error) {
	return nil, nil, unsupported("find a share process")
}

// FoundProcess is a share process that another process of ours has started.
type FoundProcess struct{}

// FindProcess returns the process with that pid, if it is the one that began then.
func FindProcess(int, string) (*FoundProcess, error) {
	return nil, unsupported("find a share process")
}

// AskToStop asks the process to finish what is in flight and to exit.
func (p *FoundProcess) AskToStop() error { return unsupported("ask a share process to stop") }

// Kill ends the process and its descendants, at once.
func (p *FoundProcess) Kill() error { return unsupported("end a share process") }

// Wait waits until the process is gone, or limit is over.
func (p *FoundProcess) Wait(time.Duration) {}

// ProcessStart names the moment at which a process began.
func ProcessStart(int) (string, error) { return "", unsupported("ask when a process began") }

// IsOwn reports whether a file belongs to this user alone.
func IsOwn(fs.FileInfo) bool { return false }

// SteadyClock is the time since this computer was started.
func SteadyClock() time.Duration { return windows.DurationSinceBoot() }

// fileNumber can't be had without opening the file; its size and age will do.
func fileNumber(fs.FileInfo) string { return "?" }

// StartPartner starts cmd detached, with a channel to it.
func StartPartner(*exec.Cmd) (net.Conn, error) { return nil, unsupported("start another agent") }

// Partner is the other end of StartPartner's channel.
func Partner() (net.Conn, error) {
	return nil, unsupported("speak with the agent that started this one")
}

// CannotRun reports whether err says that a file is no program for this computer.
func CannotRun(err error) bool {
	return errors.Is(err, windows.ERROR_BAD_EXE_FORMAT) || errors.Is(err, windows.ERROR_EXE_MACHINE_TYPE_MISMATCH)
}

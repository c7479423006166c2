//go:build unix

package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// ListenControl listens at path for local programs of this user and of nobody
// else: the file's mode keeps others out, and each connection's peer is asked
// for its user besides. A socket file that a dead agent left is replaced; the
// caller must hold the agent's lock.
func ListenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("clear away the old control socket: %w", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("close the control socket to others: %w", err)
	}
	ln.SetUnlinkOnClose(false) // Close looks first whose it is by then
	bound, err := os.Lstat(path)
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("find the control socket: %w", err)
	}
	return ownUserListener{ln, path, bound}, nil
}

// DialControl connects to an agent's control socket.
func DialControl(ctx context.Context, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// IsNobodyThere reports whether a dial failed because no agent listens.
func IsNobodyThere(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

// ownUserListener drops connections of other users. Root is let in: it can do
// all this anyway.
type ownUserListener struct {
	*net.UnixListener
	path  string
	bound os.FileInfo
}

// Close removes the socket's file, unless another process has bound there since.
func (l ownUserListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(l.bound, now) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

func (l ownUserListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && (uid == os.Geteuid() || uid == 0) {
			return c, nil
		}
		c.Close()
	}
}

// onSocket runs f on the connection's descriptor.
func onSocket(c *net.UnixConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

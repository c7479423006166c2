package forward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// While a target is down, whoever waits for it tries again after so long, and
// then after longer.
const (
	firstRedial = 50 * time.Millisecond
	lastRedial  = 500 * time.Millisecond
)

// target is where connections or datagrams go, and what is known of it.
type target struct {
	network, addr string
	changed       func()

	sentence atomic.Pointer[string] // nil: nothing is known
}

// newTarget reads "host:port", or for streams "unix:/path".
func newTarget(network, s string, changed func()) (*target, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if network != "tcp" {
			return nil, fmt.Errorf("%q: datagrams can't be sent to a socket file", s)
		}
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%q: the path of the socket must be absolute", s)
		}
		return &target{network: "unix", addr: path, changed: changed}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return nil, fmt.Errorf("%q is no host:port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%q: a port is a number from 1 to 65535", s)
	}
	return &target{network: network, addr: s, changed: changed}, nil
}

// dial connects once.
func (t *target) dial(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, t.network, t.addr)
	if ctx.Err() == nil {
		t.found(err)
	} else if err == nil {
		c.Close()
		return nil, ctx.Err()
	}
	return c, err
}

// dialPatiently tries again for a while when nothing listens.
func (t *target) dialPatiently(ctx context.Context, timeout, patience time.Duration) (net.Conn, error) {
	giveUp := time.Now().Add(patience)
	for again := firstRedial; ; again = min(2*again, lastRedial) {
		c, err := t.dial(ctx, timeout)
		if err == nil || ctx.Err() != nil || !isDown(err) || !time.Now().Add(again).Before(giveUp) {
			return c, err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// isDown reports whether err says that nothing listens, at this moment.
func isDown(err error) bool {
	return isRefused(err) || errors.Is(err, fs.ErrNotExist)
}

// isRefused knows the errors of Unix and of Windows, whose numbers package
// syscall does not translate.
func isRefused(err error) bool {
	const wsaConnReset, wsaConnRefused = syscall.Errno(10054), syscall.Errno(10061)
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaConnRefused) || errors.Is(err, wsaConnReset)
}

// TargetError says why the target can't be reached, as a sentence; "" when
// nothing is known against it. It never waits.
func (t *target) TargetError() string {
	if s := t.sentence.Load(); s != nil {
		return *s
	}
	return ""
}

// found notes what somebody met at the target.
func (t *target) found(err error) {
	sentence := ""
	if err != nil {
		sentence = t.explain(err)
	}
	if sentence == t.TargetError() { // which it is nearly always
		return
	}
	if before := t.sentence.Swap(&sentence); before == nil || *before != sentence {
		t.changed()
	}
}

func (t *target) explain(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		host, _, _ := net.SplitHostPort(t.addr)
		return fmt.Sprintf("the name %s can't be resolved", host)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no socket %s", t.addr)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("connecting to %s is not permitted", t.addr)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "this computer has no more open files to give"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fmt.Sprintf("there is no way to %s", t.addr)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("nothing answers at %s", t.addr)
	}
	return fmt.Sprintf("nothing listens at %s", t.addr)
}

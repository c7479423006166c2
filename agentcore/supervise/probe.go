package supervise

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// address is where and how a share is probed.
type address struct {
	netip.AddrPort
	speaks speech
}

// speech is what is spoken at an address.
type speech int

const (
	speaksHTTP speech = iota
	speaksHTTPS
	speaksTCP // whatever the target does
	speaksUDP
)

func speechOf(sh share.Share) speech {
	switch {
	case sh.Kind == share.UDP:
		return speaksUDP
	case !sh.Kind.IsHTTP():
		return speaksTCP
	case sh.TLS == share.LocalTLS || sh.TLS == share.OwnTLS:
		return speaksHTTPS
	}
	return speaksHTTP
}

// probeAddr is the address at which a share is probed.
func probeAddr(sh share.Share) address { return address{Addresses(sh)[0], speechOf(sh)} }

// isAnnounced reports whether a probe there has to be announced to the process, as
// it can't say itself what it is.
func (a address) isAnnounced() bool { return a.speaks == speaksTCP || a.speaks == speaksUDP }

// probe makes sure that visitors who come to addr are this very process's.
func (p *Proc) probe(ctx context.Context, addr address, secret string) error {
	if !addr.isAnnounced() {
		return probeHTTP(ctx, addr.AddrPort, addr.speaks == speaksHTTPS, secret, p.nonce)
	}
	return again(ctx, addr.AddrPort, func() error { return p.probeAnnounced(ctx, addr) })
}

// leastWait is how long each announced probe is waited for at least.
const leastWait = 250 * time.Millisecond

// probeAnnounced has the process told, on its link, from which address the probe
// comes, so that it answers that with its nonce. Whoever else takes it, for a
// visitor, waits for what he says: so half of the time is left for other tries.
func (p *Proc) probeAnnounced(ctx context.Context, addr address) error {
	wait := time.Second
	if end, ok := ctx.Deadline(); ok {
		wait = max(time.Until(end)/2, leastWait)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := p.connect(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(end)
	b := make([]byte, 256)
	n, err := conn.Read(b) // the nonce is sent at once
	switch {
	case string(b[:n]) == p.nonce:
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	return errStranger
}

// connect comes to addr as a visitor who was announced. Until then, and for as long
// as the connection is there, nobody else can come from where it comes from.
func (p *Proc) connect(ctx context.Context, addr address) (net.Conn, error) {
	if addr.speaks == speaksTCP {
		d := net.Dialer{ControlContext: func(ctx context.Context, _, _ string, c syscall.RawConn) error {
			from, err := platform.BindSource(c)
			if err == nil {
				err = p.announce(ctx, from)
			}
			return err
		}}
		return d.DialContext(ctx, "tcp4", addr.String())
	}
	here := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	conn, err := net.DialUDP("udp4", here, net.UDPAddrFromAddrPort(addr.AddrPort))
	if err != nil {
		return nil, err
	}
	if err = p.announce(ctx, conn.LocalAddr().(*net.UDPAddr).AddrPort()); err == nil {
		_, err = conn.Write(nil) // what does the least harm at a target
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *Proc) announce(ctx context.Context, from netip.AddrPort) error {
	_, err := p.link.Ask(ctx, link.Message{Type: link.TypeExpect, Source: from})
	return err
}

// probeHTTP sends requests through addr until this very process answers one, which
// its nonce proves, or ctx ends. While two processes accept on one socket, the
// other may get some of them.
func probeHTTP(ctx context.Context, addr netip.AddrPort, secured bool, secret, nonce string) error {
	return again(ctx, addr, func() error { return probeOnce(ctx, addr, secured, secret, nonce) })
}

// again probes until it succeeds.
func again(ctx context.Context, addr netip.AddrPort, probe func() error) error {
	wait := time.Millisecond
	for {
		err := probe()
		if err == nil || errors.Is(err, link.ErrClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a request to %s was not answered: %w", addr, err)
		case <-time.After(wait):
			wait = min(2*wait, 100*time.Millisecond)
		}
	}
}

var errStranger = errors.New("another process answered")

func probeOnce(ctx context.Context, addr netip.AddrPort, secured bool, secret, nonce string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	if secured {
		// The nonce proves who answers, whatever the certificate says.
		conn = tls.Client(conn, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nConnection: close\r\n\r\n",
		addr, link.ProbeHeader, secret); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.Header.Get(link.NonceHeader) != nonce {
		return errStranger
	}
	return nil
}

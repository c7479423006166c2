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
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
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

// probe makes sure that visitors who come to addr are this very process's.
func (p *Proc) probe(ctx context.Context, addr address, secret string) error {
	switch addr.speaks {
	case speaksHTTP, speaksHTTPS:
		return probeHTTP(ctx, addr.AddrPort, addr.speaks == speaksHTTPS, secret, p.nonce)
	}
	return again(ctx, addr.AddrPort, func() error { return p.probeAnnounced(ctx, addr) })
}

// answerTime is for how long one announced probe is waited for: another process
// that has taken it says nothing, or what its target says.
const answerTime = 500 * time.Millisecond

// probeAnnounced has the process told, on its link, from which address the probe
// comes, so that it answers that with its nonce.
func (p *Proc) probeAnnounced(ctx context.Context, addr address) error {
	if addr.speaks == speaksUDP {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := p.announce(ctx, conn.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			return err
		}
		_ = conn.SetDeadline(time.Now().Add(answerTime))
		if _, err := conn.WriteToUDPAddrPort([]byte{0}, addr.AddrPort); err != nil {
			return err
		}
		b := make([]byte, 256)
		n, _, err := conn.ReadFromUDPAddrPort(b)
		return p.isNonce(b[:n], err)
	}
	from, err := freeSource()
	if err != nil {
		return err
	}
	if err := p.announce(ctx, from); err != nil {
		return err
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: answerTime}
	conn, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	b, err := io.ReadAll(io.LimitReader(conn, 256))
	return p.isNonce(b, err)
}

func (p *Proc) isNonce(b []byte, err error) error {
	switch {
	case string(b) == p.nonce:
		return nil
	case err != nil:
		return err
	}
	return errStranger
}

func (p *Proc) announce(ctx context.Context, from netip.AddrPort) error {
	_, err := p.link.Ask(ctx, link.Message{Type: link.TypeExpect, Source: from})
	return err
}

// freeSource is an address of this computer's own from which nobody connects yet.
func freeSource() (netip.AddrPort, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort(), nil
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

package supervise

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"sharetray/agentcore/link"
)

// probe sends requests through addr until this very process answers one, which
// its nonce proves, or ctx ends. While two processes accept on one socket, the
// other may get some of them.
func probeHTTP(ctx context.Context, addr netip.AddrPort, secured bool, secret, nonce string) error {
	wait := time.Millisecond
	for {
		err := probeOnce(ctx, addr, secured, secret, nonce)
		if err == nil {
			return nil
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

package supervise

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// Prove makes sure that share processes can be started from l and serve: one
// serves the folder dir for a moment, on a port of this computer that nobody
// knows.
func Prove(ctx context.Context, l Launch, dir string) error {
	sock, err := platform.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer sock.Close()
	p, err := launch(ctx, l)
	if err != nil {
		return err
	}
	defer func() {
		p.Kill()
		<-p.gone
	}()
	sh := share.Defaults(share.Web)
	if sh.Name, err = share.ParseName("proof"); err != nil {
		return err
	}
	sh.Target = dir
	serve := link.Serve{Share: sh, Probe: rand.Text()}
	if _, err := p.link.Ask(ctx, link.Message{Type: link.TypeServe, Serve: &serve}, sock); err != nil {
		return fmt.Errorf("a share process would not serve: %w", err)
	}
	return probeHTTP(ctx, sock.Addr(), false, serve.Probe, p.nonce)
}

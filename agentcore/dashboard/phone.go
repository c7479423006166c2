package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/skip2/go-qrcode"

	"sharetray/agentcore"
	"sharetray/agentcore/link"
	"sharetray/agentcore/reach"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// dialTime is how long an address of this computer's own may take to answer.
const dialTime = time.Second

// quietZone is the border that a code needs, in modules (ISO/IEC 18004).
const quietZone = 4

// phoneBody is the page with the code to be scanned.
type phoneBody struct {
	card
	Code   template.HTML
	Others []string // further addresses
	Check  template.HTML
}

func (d *Dashboard) phone(w http.ResponseWriter, r *http.Request) {
	st, err := d.agent.Look(r.Context(), r.PathValue("name"))
	if err != nil {
		d.failed(w, r, err)
		return
	}
	t := text{d.language(r)}
	c := card{t, st}
	body := phoneBody{card: c, Check: d.checkPiece(r.Context(), c).HTML}
	if c.Link() != "" {
		body.Code = codeSVG(c.Link(), t.T("page.code_of", c.Link()))
		body.Others = c.URLs[1:]
	}
	d.write(w, r, http.StatusOK, "phone.html", view{
		Title: t.T("page.phone_title", c.Label()), Nav: "shares",
		Live: "phone=1&share=" + template.URLQueryEscaper(st.Name), Body: body,
	})
}

func (d *Dashboard) phonePieces(ctx context.Context, t text, name string) []piece {
	st, err := d.agent.Look(ctx, name)
	if err != nil {
		return []piece{render("check", "gone-check", struct{ text }{t})}
	}
	return []piece{d.checkPiece(ctx, card{t, st})}
}

// check says whether another device can have the share.
type check struct {
	card
	Local    bool          // it is for this computer only
	NoNet    bool          // this computer is in no network
	Silent   string        // the address that does not answer
	Answers  string        // the one that does
	Reached  *link.Visitor // who has come from another device
	Firewall platform.Firewall
}

func (d *Dashboard) checkPiece(ctx context.Context, c card) piece {
	k := check{card: c}
	k.Use, k.Since = link.Use{}, time.Time{} // they change the piece, and are not shown
	own := reach.Addrs()
	for _, v := range c.Visitors {
		if isElsewhere(v.Addr, own) {
			k.Reached = &link.Visitor{Addr: v.Addr}
			break
		}
	}
	k.Visitors = nil
	address, ok := otherDevices(c.Status)
	switch {
	case k.Reached != nil:
	case c.Reach == share.Local:
		k.Local = true
	case !ok:
		k.NoNet = true
	case c.Kind == share.UDP: // which does not answer for nothing
		k.Firewall = d.firewall(ctx, c.Status)
	case answers(ctx, address):
		k.Answers = address
		k.Firewall = d.firewall(ctx, c.Status)
	default:
		k.Silent = address
		k.Firewall = d.firewall(ctx, c.Status)
	}
	return render("check", "check", k)
}

func (d *Dashboard) firewall(ctx context.Context, st agentcore.Status) platform.Firewall {
	if d.opt.Firewall == nil {
		return platform.Firewall{}
	}
	return d.opt.Firewall(ctx, st.Port, st.Kind == share.UDP)
}

// otherDevices is the address by which another device would come.
func otherDevices(st agentcore.Status) (address string, ok bool) {
	for _, l := range st.URLs {
		u, err := url.Parse(l)
		if err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !ip.IsLoopback() {
			return u.Host, true
		}
	}
	return "", false
}

func answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// isElsewhere reports whether addr is none of this computer's own.
func isElsewhere(addr string, own []reach.Addr) bool {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return !ip.IsLoopback() && !slices.ContainsFunc(own, func(a reach.Addr) bool { return a.Addr == ip.WithZone("") })
}

// openUp makes a share reachable from the networks of this computer.
func (d *Dashboard) openUp(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if _, err := d.agent.Set(d.life, name, map[string]string{"reach": string(share.LAN)}); err != nil {
		d.failed(w, r, err)
		return
	}
	back(w, r, sharePath(name)+"/qr", "lan", name)
}

// codeSVG draws text as a QR code, dark on light in every theme, since cameras want
// that.
func codeSVG(content, label string) template.HTML {
	code, err := qrcode.New(content, qrcode.Medium)
	if err != nil {
		return "" // too long for one: the link stands below
	}
	code.DisableBorder = true
	modules := code.Bitmap()
	size := len(modules) + 2*quietZone
	var path strings.Builder
	for y, row := range modules {
		for x := 0; x < len(row); x++ {
			run := 0
			for x+run < len(row) && row[x+run] {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, run, run)
				x += run
			}
		}
	}
	return template.HTML(fmt.Sprintf(`<svg class="code" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-label="%s">`+
		`<path class="paper" d="M0 0h%dv%dh-%dz"/><path class="ink" d="%s"/></svg>`,
		size, size, cmp.Or(template.HTMLEscapeString(label), "QR"), size, size, size, path.String()))
}

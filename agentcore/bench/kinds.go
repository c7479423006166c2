package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// kindsResult is how kinds of share other than web fare: each serves the same
// folder, by way of something else where it has to.
type kindsResult struct {
	Missing string
	Gaps    []gapResult // Who is the kind
	Memory  []kindMemory
	Drive   peerRate
	TCP     peerRate
}

// kindMemory is what the process of an idle share takes, in bytes.
type kindMemory struct {
	Kind, Failed string
	Bytes        int64
}

// peerRate is throughput beside a peer that does the same.
type peerRate struct {
	Peer, Missing, Failed string
	Requests, Bytes       pairs
}

// kindOf is how a kind shares the site, from a server behind it or without.
type kindOf struct {
	kind string
	args func(r *rig, behind int) []string
	via  func(behind int) way // nil: over HTTP
}

var kindsMeasured = []kindOf{
	{"web", func(r *rig, _ int) []string { return []string{"web", r.site} }, nil},
	{"drive", func(r *rig, _ int) []string { return []string{"drive", r.site} }, nil},
	{"proxy", func(_ *rig, behind int) []string { return []string{"proxy", strconv.Itoa(behind)} }, nil},
	{"caddy", func(r *rig, _ int) []string { return []string{"caddy", r.dir + "/Caddyfile"} }, nil},
	{"tcp", func(_ *rig, behind int) []string { return []string{"tcp", strconv.Itoa(behind)} }, nil},
	{
		"udp", func(_ *rig, behind int) []string { return []string{"udp", strconv.Itoa(behind)} },
		func(int) way { return way{datagrams: true} },
	},
	{
		"socks", func(_ *rig, behind int) []string { return []string{"socks", "--to", address(behind)} },
		func(behind int) way { return way{socks: netip.MustParseAddrPort(address(behind))} },
	},
	{"command", func(r *rig, _ int) []string {
		return []string{"command", "--ready", "http", "--", r.caddy, "file-server", "--root", r.site, "--listen", "127.0.0.1:{port}"}
	}, nil},
}

func measureKinds(ctx context.Context, r *rig, tray sharetray, p plan) *kindsResult {
	res := &kindsResult{Missing: tray.missing(), Drive: peerRate{Peer: "rclone serve webdav"}, TCP: peerRate{Peer: "socat"}}
	if res.Missing != "" {
		return res
	}
	for _, k := range kindsMeasured {
		r.say("kinds: %s, %d kills", k.kind, p.kindKills)
		g, m := gapResult{Who: k.kind}, kindMemory{Kind: k.kind}
		if err := measureKind(ctx, r, tray, k, p, &g, &m); err != nil {
			g.Failed, m.Failed = err.Error(), err.Error()
		}
		res.Gaps, res.Memory = append(res.Gaps, g), append(res.Memory, m)
	}
	for _, c := range []struct {
		rate *peerRate
		tool string
		kind kindOf
		peer func(port, behind int) []string
	}{
		{&res.Drive, "rclone", kindsMeasured[1], func(port, _ int) []string {
			return []string{"serve", "webdav", r.site, "--addr", address(port), "--read-only", "--config", "/dev/null"}
		}},
		{&res.TCP, "socat", kindsMeasured[4], func(port, behind int) []string {
			return []string{fmt.Sprintf("TCP-LISTEN:%d,bind=127.0.0.1,fork,reuseaddr,backlog=128", port), "TCP:" + address(behind)}
		}},
	} {
		r.say("kinds: %s beside %s, %d pairs", c.kind.kind, c.rate.Peer, p.pairs)
		if _, err := exec.LookPath(c.tool); err != nil {
			c.rate.Missing = "not installed"
			continue
		}
		if err := c.rate.measure(ctx, r, tray, c.kind, c.tool, c.peer, p); err != nil {
			c.rate.Failed = err.Error()
		}
	}
	return res
}

// kindShare starts an agent with one share of a kind, and what is behind it.
func kindShare(ctx context.Context, r *rig, tray sharetray, k kindOf) (o *one, t target, behind int, stop func(), err error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, t, 0, nil, err
	}
	port, behind := ports[0], ports[1]
	t = at(port)
	if k.via != nil {
		t.via = k.via(behind)
	}
	caddy, err := plainCaddy(r, behind)
	if err != nil {
		return nil, t, 0, nil, err
	}
	if err = os.WriteFile(r.dir+"/Caddyfile", []byte(":80\nroot * "+r.site+"\nfile_server\n"), 0o600); err == nil {
		err = firstAnswer(ctx, behind)
	}
	if err != nil {
		caddy.stop()
		return nil, t, 0, nil, err
	}
	echo, err := net.ListenPacket("udp", address(behind))
	if err != nil {
		caddy.stop()
		return nil, t, 0, nil, err
	}
	go echoes(echo)
	a, err := tray.home(r)
	if err == nil {
		err = a.start()
	}
	if err != nil {
		caddy.stop()
		echo.Close()
		return nil, t, 0, nil, err
	}
	stop = func() {
		a.stop()
		echo.Close()
		caddy.stop()
	}
	if err = a.awaitControl(ctx); err == nil {
		args := k.args(r, behind)
		args = append([]string{"share", args[0], "--name", site, "--port", strconv.Itoa(port)}, args[1:]...)
		_, err = a.run(ctx, args...)
	}
	if err == nil {
		err = t.firstAnswer(ctx)
	}
	if err != nil {
		stop()
		return nil, t, 0, nil, err
	}
	return &one{a}, t, behind, stop, nil
}

func measureKind(ctx context.Context, r *rig, tray sharetray, k kindOf, p plan, g *gapResult, m *kindMemory) error {
	o, t, _, stop, err := kindShare(ctx, r, tray, k)
	if err != nil {
		return err
	}
	defer stop()
	if err := t.ask(each); err != nil {
		return err
	}
	pid, err := o.pid(ctx)
	if err != nil {
		return err
	}
	if m.Bytes, _, err = settled(ctx, func() []int { return []int{pid} }); err != nil {
		return err
	}
	p.kills = p.kindKills
	return g.crash(ctx, o, t, p)
}

func (res *peerRate) measure(ctx context.Context, r *rig, tray sharetray, k kindOf, tool string, peer func(port, behind int) []string, p plan) error {
	if err := r.addFile(largeFile, p.large); err != nil {
		return err
	}
	defer os.Remove(r.site + "/" + largeFile)
	_, t, behind, stop, err := kindShare(ctx, r, tray, k)
	if err != nil {
		return err
	}
	defer stop()
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	place, err := r.newPlace(tool)
	if err != nil {
		return err
	}
	d := &daemon{place: place, quit: syscall.SIGTERM}
	if d.process, err = place.start(tool, peer(ports[0], behind)...); err != nil {
		return err
	}
	defer d.stop()
	if err := firstAnswer(ctx, ports[0]); err != nil {
		return err
	}
	for _, job := range []struct {
		file  string
		size  int64
		conns int
		into  *pairs
		bytes bool
	}{{smallFile, smallSize, 16, &res.Requests, false}, {largeFile, p.large, 2, &res.Bytes, true}} {
		for i := range p.pairs {
			for turn := range 2 {
				ours := (turn == 0) == (i%2 == 0) // neither is always the first
				addr := map[bool]string{true: t.addr, false: address(ports[0])}[ours]
				done, err := throughput(ctx, workSpec{Addr: addr, File: job.file, Size: job.size, Conns: job.conns, Warmup: p.warmup, Window: p.window})
				if err != nil {
					return err
				}
				figure := done.Requests
				if job.bytes {
					figure = done.Bytes
				}
				if ours {
					job.into.Ours = append(job.into.Ours, figure)
				} else {
					job.into.Theirs = append(job.into.Theirs, figure)
				}
			}
		}
	}
	return nil
}

// --- the report

func (k *kindsResult) goals(add func(failed, figure, want string, got func() (string, string))) {
	if k == nil {
		return
	}
	for _, g := range k.Gaps {
		add(either(k.Missing, g.Failed), "refused over all crashes of "+g.Who, "0", func() (string, string) {
			return fmt.Sprintf("%d over %d", g.Refused, len(g.Gaps)), atMost(float64(g.Refused), 0, plain)
		})
	}
	for _, m := range k.Memory {
		add(either(k.Missing, m.Failed), "anonymous memory of an idle "+m.Kind, "<= "+mb(goalPerShare), func() (string, string) {
			return mb(float64(m.Bytes)), atMost(float64(m.Bytes), goalPerShare, mb)
		})
	}
	for _, c := range []struct {
		what string
		rate peerRate
	}{{"drive", k.Drive}, {"tcp", k.TCP}} {
		for _, row := range []struct {
			what string
			pairs
		}{{"requests/s of 4 KiB", c.rate.Requests}, {"bytes/s of a large file", c.rate.Bytes}} {
			failed := either(either(k.Missing, c.rate.Missing), c.rate.Failed)
			add(failed, c.what+", "+row.what, fmt.Sprintf(">= %.1fx %s", goalRatio, c.rate.Peer), func() (string, string) {
				r := median(ratios(row.Ours, row.Theirs))
				return fmt.Sprintf("%.3fx", r), atLeast(r, goalRatio)
			})
		}
	}
}

func (k *kindsResult) failures(add func(what, failed string)) {
	if k == nil {
		return
	}
	for _, g := range k.Gaps {
		add("a share of kind "+g.Who, g.Failed)
	}
	add("drive beside "+k.Drive.Peer, k.Drive.Failed)
	add("tcp beside "+k.TCP.Peer, k.TCP.Failed)
}

func (k *kindsResult) write(p *page) {
	if k == nil {
		return
	}
	p.line("")
	p.line("## Kinds of share")
	p.line("")
	p.line("Each serves the same folder: `proxy`, `tcp` and `socks` from a stock Caddy behind them, `command` from one that it runs;")
	p.line("behind `udp` is what sends datagrams back: one that has not come after %d ms counts as cut, and another is sent. Crashes", resend.Milliseconds())
	p.line("are as above. Of `command` it is the share's own process that is killed, and its program with it, so that the gap holds")
	p.line("the start of another one. Memory is that of the share's process (RssAnon), after %d requests, when it changes no more.", each)
	p.table("kind", "kills", "gap, median", "gap, longest", "refused", "cut", "else wrong", "memory")
	for i, g := range k.Gaps {
		if g.Failed != "" {
			p.blank(8, g.Who, g.Failed)
			continue
		}
		p.row(g.Who, fmt.Sprint(len(g.Gaps)), ms(median(g.Gaps)), ms(largest(g.Gaps)), fmt.Sprint(g.Refused), fmt.Sprint(g.Cut), fmt.Sprint(g.Odd), mb(float64(k.Memory[i].Bytes)))
	}
	p.line("")
	p.line("Throughput beside programs that do the same, in turns, as above.")
	p.table("kind", "peer", "what", "Sharetray", "peer's", "ratio")
	for _, c := range []struct {
		kind string
		rate peerRate
	}{{"drive", k.Drive}, {"tcp", k.TCP}} {
		if why := either(c.rate.Missing, c.rate.Failed); why != "" {
			p.blank(6, c.kind, why)
			continue
		}
		for _, row := range []struct {
			what, unit string
			per        float64
			pairs
		}{{"a 4 KiB file", "requests/s", 1, c.rate.Requests}, {"a large file", "MiB/s", 1 << 20, c.rate.Bytes}} {
			show := func(all []float64) string {
				return fmt.Sprintf("%.0f %s", median(all)/row.per, row.unit)
			}
			p.row(c.kind, c.rate.Peer, row.what, show(row.Ours), show(row.Theirs), fmt.Sprintf("%.3f", median(ratios(row.Ours, row.Theirs))))
		}
	}
}

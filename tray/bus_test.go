//go:build linux

package tray

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"sharetray/agentcore"
	"sharetray/platform"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// bus is a message bus of a test's own, without services that it could start.
type bus struct {
	t    *testing.T
	dir  string
	stop func()
}

func (b *bus) address() string { return "unix:path=" + filepath.Join(b.dir, "bus") }

// newBus makes the place of a bus; start starts it.
func newBus(t *testing.T) *bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		missing(t, "dbus-daemon is not installed (Debian package dbus-daemon)")
	}
	dir, err := os.MkdirTemp("", "bus") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &bus{t: t, dir: dir}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func (b *bus) start() {
	b.t.Helper()
	config := filepath.Join(b.dir, "bus.conf")
	err := os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>`+b.address()+`</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`), 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(b.dir, "bus")) // of the bus before
	cmd := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--print-address=1")
	var complaints bytes.Buffer // it always has some, about limits
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); b.stop = func() {} }
	b.t.Cleanup(func() { b.stop() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // the address: it listens
		b.stop()
		b.t.Fatalf("dbus-daemon did not start: %v\n%s", err, &complaints)
	}
}

func (b *bus) connect() *dbus.Conn {
	b.t.Helper()
	conn, err := dbus.Connect(b.address())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// panel is a tray host: it owns the name that icons register with.
type panel struct {
	t          *testing.T
	conn       *dbus.Conn
	registered chan string // bus names of items
	signals    chan *dbus.Signal
}

// RegisterStatusNotifierItem is called by items over the bus.
func (p *panel) RegisterStatusNotifierItem(_ string, sender dbus.Sender) *dbus.Error {
	p.registered <- string(sender)
	return nil
}

func (b *bus) panel() *panel {
	b.t.Helper()
	p := &panel{t: b.t, conn: b.connect(), registered: make(chan string, 10), signals: make(chan *dbus.Signal, 10000)}
	if err := p.conn.ExportMethodTable(map[string]any{
		"RegisterStatusNotifierItem": p.RegisterStatusNotifierItem,
	}, "/StatusNotifierWatcher", platform.TrayHost); err != nil {
		b.t.Fatal(err)
	}
	for _, m := range []string{"LayoutUpdated", "NewIcon", "NewToolTip"} {
		if err := p.conn.AddMatchSignal(dbus.WithMatchMember(m)); err != nil {
			b.t.Fatal(err)
		}
	}
	p.conn.Signal(p.signals)
	if _, err := p.conn.RequestName(platform.TrayHost, dbus.NameFlagDoNotQueue); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// icon waits until an icon registers.
func (p *panel) icon() *sni {
	p.t.Helper()
	select {
	case name := <-p.registered:
		return &sni{p, name}
	case <-time.After(patience):
		p.t.Fatal("no icon has registered")
		return nil
	}
}

// sni is an icon as its host sees it.
type sni struct {
	*panel
	name string
}

// line is one item of a menu as its host sees it.
type line struct {
	id               int32
	label            string
	enabled, visible bool
	checked          bool
	items            []line
}

// menu fetches the menu as it is now.
func (i *sni) menu() ([]line, error) {
	type layout struct {
		ID    int32
		Props map[string]dbus.Variant
		Items []dbus.Variant
	}
	var revision uint32
	var root layout
	err := i.conn.Object(i.name, "/StatusNotifierItem/menu").
		Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &root)
	if err != nil {
		return nil, err
	}
	var convert func(layout) (line, error)
	convert = func(l layout) (line, error) {
		out := line{id: l.ID, enabled: true, visible: true}
		if v, ok := l.Props["label"]; ok {
			out.label = v.Value().(string)
		}
		if v, ok := l.Props["type"]; ok && v.Value() == "separator" {
			out.label = "---"
		}
		if v, ok := l.Props["enabled"]; ok {
			out.enabled = v.Value().(bool)
		}
		if v, ok := l.Props["toggle-state"]; ok {
			out.checked = fmt.Sprint(v.Value()) == "1"
		}
		if v, ok := l.Props["visible"]; ok {
			out.visible = v.Value().(bool)
		}
		for _, v := range l.Items {
			var child layout
			if err := dbus.Store([]any{v.Value()}, &child); err != nil {
				return out, err
			}
			c, err := convert(child)
			if err != nil {
				return out, err
			}
			if c.visible {
				out.items = append(out.items, c)
			}
		}
		return out, nil
	}
	l, err := convert(root)
	return l.items, err
}

// menuUntil fetches the menu until it is as wanted, each time that the icon
// says that it has changed.
func (i *sni) menuUntil(what string, good func([]line) bool) []line {
	i.t.Helper()
	deadline := time.After(patience)
	for {
		m, err := i.menu()
		if err != nil {
			i.t.Fatal(err)
		}
		if good(m) {
			return m
		}
		select {
		case <-i.signals:
		case <-deadline:
			i.t.Fatalf("waited for: %s; the menu is:\n%s", what, show(m, ""))
		}
	}
}

func show(m []line, indent string) string {
	var b strings.Builder
	for _, l := range m {
		fmt.Fprintf(&b, "%s%s\n%s", indent, l.label, show(l.items, indent+"   "))
	}
	return b.String()
}

// find returns the visible line with that label, under labels that begin so.
func find(m []line, path ...string) *line {
	for n := range m {
		if !strings.HasPrefix(m[n].label, path[0]) {
			continue
		}
		if len(path) == 1 {
			return &m[n]
		}
		if l := find(m[n].items, path[1:]...); l != nil {
			return l
		}
	}
	return nil
}

func has(path ...string) func([]line) bool {
	return func(m []line) bool { return find(m, path...) != nil }
}

func (i *sni) click(m []line, path ...string) {
	i.t.Helper()
	l := find(m, path...)
	if l == nil {
		i.t.Fatalf("no item %v in:\n%s", path, show(m, ""))
	}
	err := i.conn.Object(i.name, "/StatusNotifierItem/menu").
		Call("com.canonical.dbusmenu.Event", 0, l.id, "clicked", dbus.MakeVariant(""), uint32(0)).Err
	if err != nil {
		i.t.Fatal(err)
	}
}

// pixmap is the picture that the icon shows.
func (i *sni) pixmap() (size int, pixels string) {
	i.t.Helper()
	v, err := i.conn.Object(i.name, "/StatusNotifierItem").GetProperty("org.kde.StatusNotifierItem.IconPixmap")
	if err != nil {
		i.t.Fatal(err)
	}
	var pix []struct {
		W, H int32
		Pix  []byte
	}
	if err := dbus.Store([]any{v.Value()}, &pix); err != nil || len(pix) != 1 {
		i.t.Fatalf("IconPixmap is %v (%v)", v, err)
	}
	return int(pix[0].W), string(pix[0].Pix)
}

// process is a tray in a process of its own (there can be one in each), with an
// agent that is played by the test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it logs and what is asked of its agent
	last  string      // the line that was waited for last
}

// racing finds the functions that the race detector names. systray itself has
// races (its menu's version, the picture that is being sent): only ours count.
var racing = regexp.MustCompile(`(?m)^(?:Read|Write|Previous read|Previous write) at .*\n\s+(\S+)\(`)

func startTray(t *testing.T, busAddress string, shares ...agentcore.Status) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1", "DBUS_SESSION_BUS_ADDRESS="+busAddress)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, in: in, lines: make(chan string, 1000)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, m := range racing.FindAllStringSubmatch(complaints.String(), -1) {
			if strings.HasPrefix(m[1], "sharetray/") {
				t.Errorf("a data race in %s", m[1])
			}
		}
		if t.Failed() {
			t.Logf("the tray's complaints:\n%s", &complaints)
		}
	})
	p.shares(shares...)
	return p
}

// shares tells the played agent what it has.
func (p *process) shares(shares ...agentcore.Status) {
	p.t.Helper()
	if shares == nil {
		shares = []agentcore.Status{}
	}
	if err := json.NewEncoder(p.in).Encode(shares); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits for a line of output with want in it.
func (p *process) expect(want string) {
	p.t.Helper()
	deadline := time.After(patience)
	var seen []string
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the tray has ended; waited for %q after %q", want, seen)
			}
			if strings.Contains(l, want) {
				p.last = l
				return
			}
			seen = append(seen, l)
		case <-deadline:
			p.t.Fatalf("waited for %q, saw %q", want, seen)
		}
	}
}

// next is the next line of output.
func (p *process) next() string {
	p.t.Helper()
	select {
	case l := <-p.lines:
		return l
	case <-time.After(patience):
		p.t.Fatal("nothing was said")
		return ""
	}
}

// end has the tray's context end and waits until Run has returned.
func (p *process) end() {
	p.t.Helper()
	_ = p.in.Close()
	p.expect("run returned: <nil>")
}

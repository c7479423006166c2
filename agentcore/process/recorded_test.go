package process

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/link/linktest"
	"sharetray/platform"
)

// recording reads a conversation that a version of the link's language was
// recorded in. They are never changed: an agent or a process of that version may
// still run.
func recording(t *testing.T, version, name string) []linktest.Line {
	t.Helper()
	lines, err := linktest.Read(filepath.Join("..", "link", "testdata", version, name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// earlier is an agent of an earlier version, which says what was recorded.
type earlier struct {
	linktest.Player
	t *testing.T
	c *child
}

// newEarlier is one for a new process.
func newEarlier(t *testing.T) *earlier {
	t.Helper()
	c := startChild(t)
	// On its first connection, that of this version, nothing is ever said.
	sock := listen(t)
	c.addr = sock.Addr().String()
	p := &earlier{t: t, c: c, Player: linktest.Player{Side: linktest.Agent, Vars: map[string]any{
		"PROTOCOL": 1, "AGENT": "0.9", "VERSION": "test", "PID": c.proc.Cmd.Process.Pid, "NONCE": c.nonce, "PROBE": c.probe, "LOG": c.log,
		"RECORDS": c.records(), "TARGET": files(t, map[string]string{"a": "hello"}), "PORT": sock.Addr().Port(),
	}}}
	for _, question := range []string{"S", "A", "R"} {
		for n := range 9 {
			p.Vars[fmt.Sprint(question, n)] = n
		}
	}
	p.Give = func() ([]*platform.Socket, error) {
		held, err := sock.Dup()
		return []*platform.Socket{held}, err
	}
	t.Cleanup(func() { closeAll(p.Got) })
	return p
}

// play plays a recorded conversation on conn, or on a new connection.
func (p *earlier) play(conn net.Conn, version, name string) net.Conn {
	p.t.Helper()
	if conn == nil {
		var err error
		if conn, err = net.Dial("unix", p.c.path); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { conn.Close() })
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := p.Play(conn, recording(p.t, version, name)); err != nil {
		p.t.Fatalf("%s: %v", name, err)
	}
	return conn
}

// TestUnderstandsEarlierAgents: what agents of each version of the link's language
// say is answered as it was then.
func TestUnderstandsEarlierAgents(t *testing.T) {
	t.Parallel()
	for version := link.OldestProtocol; version <= link.Protocol; version++ {
		v := fmt.Sprint("v", version)
		t.Run(v+"/adopted", func(t *testing.T) {
			p := newEarlier(t)
			first := p.play(nil, v, "start")
			if a := p.c.get("/a"); a.body != "hello" {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
			second := p.play(nil, v, "adopt")
			p.play(first, v, "taken")
			if len(p.Got) != 1 || p.Got[0].Addr().String() != p.c.addr {
				t.Errorf("got %d sockets", len(p.Got))
			}
			p.play(second, v, "roll")
			if a := p.c.get("/a", link.ProbeHeader+": "+p.c.probe); a.Header.Get(link.NonceHeader) != p.c.nonce {
				t.Errorf("the probe was answered by %d %v", a.StatusCode, a.Header)
			}
		})
		t.Run(v+"/rehearsed", func(t *testing.T) {
			p := newEarlier(t)
			p.play(nil, v, "rehearse")
			if a := p.c.get("/a"); a.body != "hello" {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
		})
	}
}

// TestUnderstandsLaterAgents: what they add to what this version knows is ignored,
// wherever they do; their own version is not spoken.
func TestUnderstandsLaterAgents(t *testing.T) {
	t.Parallel()
	p := newEarlier(t)
	p.Vars["PROTOCOL"] = link.Protocol + 1
	var lines []linktest.Line
	for _, l := range recording(t, fmt.Sprint("v", link.Protocol), "start") {
		if l.From == linktest.Agent {
			l.Frame = enriched(l.Frame)
		}
		lines = append(lines, l)
	}
	conn, err := net.Dial("unix", p.c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := p.Play(conn, lines); err != nil {
		t.Fatal(err)
	}
	if a := p.c.get("/a"); a.body != "hello" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// enriched adds something to each object.
func enriched(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	more := map[string]any{"colour": "red", "later": map[string]any{"list": []any{1, "two", nil}}}
	for key, part := range m {
		more[key] = enriched(part)
	}
	return more
}

//go:build linux

package fault

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// declarePort writes the file of a share of an address, and returns where visitors
// go.
func (h *house) declarePort(kind, target string) (addr string) {
	h.Helper()
	h.port++
	h.must(os.WriteFile(h.config("shares", kind+".toml"), fmt.Appendf(nil,
		"version = 1\nkind = %q\ntarget = %q\nport = %d\n", kind, target, h.port), 0o600))
	return fmt.Sprintf("127.0.0.1:%d", h.port)
}

// echoTargets say again what they hear, one by TCP, one by UDP.
func (h *house) echoTargets() (tcp, udp string) {
	h.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	h.must(err)
	h.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
	return ln.Addr().String(), conn.LocalAddr().String()
}

// TestFaultPorts kills the agent again and again while connections are open and
// datagrams are sent: the same processes go on with both. An upgrade cuts nobody.
// Afterwards the sockets are the new agent's, so that crashes of the processes
// refuse nobody either.
func TestFaultPorts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tcpTarget, udpTarget := h.echoTargets()
	tcp, udp := h.declarePort("tcp", tcpTarget), h.declarePort("udp", udpTarget)
	agent := h.live("tcp", "udp")
	pids := [2]int{h.status("tcp").PID, h.status("udp").PID}

	dial := func() net.Conn {
		h.Helper()
		c, err := net.Dial("tcp", tcp)
		h.must(err)
		h.Cleanup(func() { c.Close() })
		h.must(c.SetDeadline(time.Now().Add(2 * patience)))
		return c
	}
	says := func(c net.Conn, text string) {
		h.Helper()
		_, err := io.WriteString(c, text+"\n")
		h.must(err)
		got, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || got != text+"\n" {
			h.Fatalf("said %q, heard %q, %v", text, got, err)
		}
	}
	packets, err := net.Dial("udp", udp)
	h.must(err)
	defer packets.Close()
	answered := func(text string) {
		h.Helper()
		h.must(packets.SetDeadline(time.Now().Add(patience)))
		_, err := io.WriteString(packets, text)
		h.must(err)
		b := make([]byte, 100)
		if n, err := packets.Read(b); err != nil || string(b[:n]) != text {
			h.Fatalf("sent %q, got %q, %v", text, b[:n], err)
		}
	}

	c := dial()
	for i := range 3 {
		says(c, fmt.Sprint("before ", i))
		answered(fmt.Sprint("before ", i))
		h.kill(agent)
		says(c, fmt.Sprint("without an agent ", i))
		answered(fmt.Sprint("without an agent ", i))
		short := dial()
		says(short, "who comes meanwhile")
		short.Close()
		agent = h.another(agent)
		h.ready("tcp", "udp")
	}
	if now := [2]int{h.status("tcp").PID, h.status("udp").PID}; now != pids {
		t.Errorf("other processes than before: %v, %v", now, pids)
	}
	says(c, "after all of it")

	// An upgrade leaves the connection to the process that has it.
	h.done("upgrade", h.version(2))
	h.ready("tcp", "udp")
	now := [2]int{h.status("tcp").PID, h.status("udp").PID}
	if now[0] == pids[0] || now[1] == pids[1] {
		t.Errorf("upgraded, the processes are %v, and were %v", now, pids)
	}
	pids = now
	says(c, "after an upgrade")
	answered("after an upgrade")
	c.Close()
	for _, pid := range pids {
		h.kill(pid)
	}
	c = dial()
	says(c, "after a crash")
	c.Close()
	h.eventually("the process that served UDP is gone", func() bool {
		return !slices.ContainsFunc(h.processes(), func(p process) bool { return p.pid == pids[1] })
	})
	answered("after a crash")
	h.done("quit")
	h.nothingLeft()
}

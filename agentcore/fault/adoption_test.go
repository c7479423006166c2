//go:build linux

package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore/history"
	"sharetray/agentcore/supervise"
)

// another waits until another agent than before answers.
func (h *house) another(before int) (pid int) {
	h.Helper()
	h.eventually("another agent", func() bool {
		info, err := h.info()
		pid = info.PID
		return err == nil && pid != before
	})
	return pid
}

// begin starts an agent with these shares, and returns its pid.
func (h *house) live(names ...string) (agent int) {
	h.Helper()
	h.agent()
	h.settled(names...)
	info, err := h.info()
	h.must(err)
	return info.PID
}

// TestFaultDownload kills the agent again and again while people download.
func TestFaultDownload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.declare("a")
	h.large("a")
	agent := h.live("a")
	h.kill(h.status("a").PID) // so that there is something to remember
	h.eventually("it is back", func() bool { st := h.status("a"); return st.State == supervise.Ready && st.Restarts == 1 })
	h.settled("a")
	pid := h.status("a").PID
	v := h.visit(link)
	d := h.begin(link)
	const rounds = 5
	for range rounds {
		h.kill(agent)
		agent = h.another(agent)
		h.ready("a")
		h.eventually("the agent has lasted", func() bool {
			b, err := os.ReadFile(filepath.Join(h.run, "sharetray", "revive"))
			return err != nil || len(b) == 0 || string(b) == "0\n"
		})
	}
	d.finish()
	v.well()
	st := h.status("a")
	if st.PID != pid || st.Restarts != 1 || st.URLs[0] != link {
		t.Errorf("not what it was: %+v", st)
	}
	past, err := h.client.History(h.ctx(), "a", 100)
	h.must(err)
	seen := map[history.What]int{}
	for _, e := range past {
		seen[e.What]++
	}
	if seen[history.Crashed] != 1 || seen[history.Recovered] != 1 || seen[history.Adopted] != rounds || seen[history.Started] != 1 {
		t.Errorf("the history is %+v", past)
	}
	// The sockets are back in the agent's hands.
	h.kill(agent)
	h.another(agent)
	h.ready("a")
	h.kill(pid)
	resp, err := http.Get(link + "a.txt")
	if err != nil {
		t.Fatalf("refused after a crash right after an adoption: %v", err)
	}
	resp.Body.Close()
	h.done("quit")
	h.nothingLeft()
}

// nothingLeft waits for the end of all, which leaves nothing.
func (h *house) nothingLeft() {
	h.Helper()
	h.eventually("all have ended", func() bool { return len(h.processes()) == 0 })
	var left []string
	for _, dir := range []string{h.run, h.state("records")} {
		h.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				left = append(left, path)
			}
			return nil
		}))
	}
	if left != nil {
		h.Errorf("left behind: %v", left)
	}
}

// TestFaultLease: what nobody adopts ends, and leaves nothing.
func TestFaultLease(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.declare("a")
	h.large("a")
	h.must(os.WriteFile(h.config("settings.toml"), []byte("lease = \"2s\"\n"), 0o600))
	agent := h.live("a")
	d := h.begin(link)
	h.must(os.Remove(h.exe)) // no agent can be started
	h.fails("x=die")
	h.kill(agent)
	if err := visit(http.DefaultClient, link); err != nil {
		t.Error(err)
	}
	h.eventually("the port is let go", func() bool {
		conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(link, "http:"), "/"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	d.finish() // what is in flight goes on
	h.eventually("all have ended", func() bool { return len(h.processes()) == 0 })
	if left, _ := filepath.Glob(h.state("records", "*")); left != nil {
		t.Errorf("records are left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(h.run, "sharetray", "l", "*")); left != nil {
		t.Errorf("links are left: %v", left)
	}
}

// TestFaultStranger: a record that names somebody else's process.
func TestFaultStranger(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.declare("a")
	agent := h.live("a")
	stranger := exec.Command("sleep", "1000")
	h.must(stranger.Start())
	ended := make(chan error, 1)
	go func() { ended <- stranger.Wait() }()
	t.Cleanup(func() { _ = stranger.Process.Kill() })
	var records []string
	h.eventually("its record is written", func() bool {
		records, _ = filepath.Glob(h.state("records", "*.json"))
		return len(records) == 1
	})
	text, err := os.ReadFile(records[0])
	h.must(err)
	var fields map[string]any
	h.must(json.Unmarshal(text, &fields))
	share := h.status("a").PID
	h.kill(agent)
	h.another(agent)
	for name, change := range map[string]func(map[string]any){
		"AAAAAAAAAAAAAAAA": func(f map[string]any) { f["pid"] = stranger.Process.Pid },
		"BBBBBBBBBBBBBBBB": func(f map[string]any) { f["pid"], f["format"] = stranger.Process.Pid, 99 },
		"CCCCCCCCCCCCCCCC": func(f map[string]any) { f["pid"] = 1 },
		"DDDDDDDDDDDDDDDD": func(f map[string]any) { f["pid"] = share },
	} {
		f := map[string]any{}
		h.must(json.Unmarshal(text, &f))
		change(f)
		f["link"] = filepath.Join(h.run, "sharetray", "l", name)
		b, err := json.Marshal(f)
		h.must(err)
		h.must(os.WriteFile(h.state("records", name+".json"), b, 0o600))
	}
	h.must(os.WriteFile(h.state("records", "EEEEEEEEEEEEEEEE.json"), text[:len(text)/2], 0o600))
	h.must(os.WriteFile(h.state("records", "FFFFFFFFFFFFFFFF.json"), []byte("nonsense"), 0o600))
	info, err := h.info()
	h.must(err)
	h.kill(info.PID)
	h.another(info.PID)
	h.ready("a")
	if now := h.status("a").PID; now != share {
		t.Errorf("a is process %d, not %d", now, share)
	}
	h.done("remove", "a")
	h.done("quit")
	select {
	case err := <-ended:
		t.Errorf("the stranger has ended: %v", err)
	default:
	}
	if _, err := os.Stat(h.state("records", "BBBBBBBBBBBBBBBB.json")); err != nil {
		t.Errorf("the record of a newer version is gone: %v", err)
	}
}

// TestFaultFalseLinks: somebody else answers where a share process should, or
// nobody does. Others are adopted in time.
func TestFaultFalseLinks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.declare("a")
	agent := h.live("a")
	pid := h.status("a").PID
	for i, answer := range []func(net.Conn){
		func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, // hangs
		func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			_, _ = io.Copy(io.Discard, c)
		},
		func(c net.Conn) { c.Close() },
	} {
		path := filepath.Join(h.run, "sharetray", "l", strings.Repeat(string(rune('G'+i)), 16))
		for _, p := range []string{path, path + ".l"} {
			ln, err := net.Listen("unix", p)
			h.must(err)
			t.Cleanup(func() { ln.Close() })
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					go answer(c)
				}
			}()
		}
	}
	began := time.Now()
	h.kill(agent)
	h.another(agent)
	h.ready("a")
	if took := time.Since(began); took > 5*time.Second { // half a second is theirs
		t.Errorf("adopted after %v", took)
	}
	if now := h.status("a").PID; now != pid {
		t.Errorf("a is process %d, not %d", now, pid)
	}
	h.done("quit")
}

// TestFaultStopped: a share process that is stopped while agents change is not
// dead: the others are adopted meanwhile, and it is, once it goes on.
func TestFaultStopped(t *testing.T) {
	t.Parallel()
	for _, wakes := range []bool{true, false} {
		t.Run(fmt.Sprintf("wakes %v", wakes), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			a, b := h.declare("a"), h.declare("b")
			agent := h.live("a", "b")
			pid, other := h.status("a").PID, h.status("b").PID
			h.must(syscall.Kill(pid, syscall.SIGSTOP))
			began := time.Now()
			h.kill(agent)
			h.another(agent)
			h.ready("b")
			if took := time.Since(began); took > 8*time.Second { // a second, on a machine that has nothing else to do
				t.Errorf("b is adopted after %v", took)
			}
			if st := h.status("a"); st.State != supervise.Starting || !strings.Contains(st.LastError, "does not answer") {
				t.Errorf("a is %s: %s", st.State, st.LastError)
			}
			if wakes {
				h.must(syscall.Kill(pid, syscall.SIGCONT))
			}
			h.ready("a")
			if now := h.status("a").PID; (now == pid) != wakes {
				t.Errorf("a was process %d and is %d", pid, now)
			}
			if now := h.status("b").PID; now != other {
				t.Errorf("b was process %d and is %d", other, now)
			}
			h.settled("a", "b")
			for _, link := range []string{a, b} {
				h.must(visit(http.DefaultClient, link))
			}
		})
	}
}

// TestFaultAgentNeverComesUp: revival gives up, the shares go on, and a user who
// starts an agent later has them back.
func TestFaultAgentNeverComesUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.declare("a")
	h.fails("start.locked=die")
	agent := h.live("a")
	pid := h.status("a").PID
	v := h.visit(link)
	h.arm()
	h.kill(agent)
	log := h.state("logs", "a", "log")
	h.eventually("it gives up, and tells the user as far as it can", func() bool {
		b, _ := os.ReadFile(log)
		return bytes.Contains(b, []byte("no more tries")) && bytes.Contains(b, []byte("a notification was not shown"))
	})
	if b, _ := os.ReadFile(log); bytes.Count(b, []byte("started an agent")) != 5 {
		t.Errorf("%s", b)
	}
	h.disarm()
	h.agent()
	h.settled("a")
	v.well()
	if now := h.status("a").PID; now != pid {
		t.Errorf("a is process %d, not %d", now, pid)
	}
}

// TestFaultClock: the date is another one when the agent comes back. (It can't be
// set here; what was written by the other date can.)
func TestFaultClock(t *testing.T) {
	t.Parallel()
	for name, day := range map[string]time.Duration{"forth": 24 * time.Hour, "back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			link := h.declare("a")
			agent := h.live("a")
			pid := h.status("a").PID
			v := h.visit(link)
			shift := func(path, field string) {
				b, err := os.ReadFile(path)
				h.must(err)
				var out []string
				for line := range strings.Lines(string(b)) {
					if i := strings.Index(line, `"`+field+`"`); i >= 0 {
						begin := strings.Index(line[i:], `20`) + i
						at, err := time.Parse(time.RFC3339Nano, line[begin:begin+strings.IndexByte(line[begin:], '"')])
						h.must(err)
						line = strings.Replace(line, at.Format(time.RFC3339Nano), at.Add(day).Format(time.RFC3339Nano), 1)
					}
					out = append(out, line)
				}
				h.must(os.WriteFile(path, []byte(strings.Join(out, "")), 0o600))
			}
			records, err := filepath.Glob(h.state("records", "*.json"))
			h.must(err)
			shift(records[0], "since")
			shift(h.state("history", "a.jsonl"), "time")
			then := time.Now().Add(day)
			for _, path := range []string{h.exe, records[0], h.config("shares", "a.toml"), filepath.Join(h.run, "sharetray", "lock")} {
				h.must(os.Chtimes(path, then, then))
			}
			h.kill(agent)
			h.another(agent)
			h.settled("a")
			v.well()
			// The program's file has another time, and so counts as another one.
			if st := h.status("a"); st.State != supervise.Ready || time.Since(st.Since) > time.Hour || time.Until(st.Since) > 0 {
				t.Errorf("%+v, was process %d", st, pid)
			}
			if out := h.done("show", "a"); !strings.Contains(out, "adopted") {
				t.Error(out)
			}
		})
	}
}

// TestFaultHundredAgents: of all that are started at once, one is the agent.
func TestFaultHundredAgents(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.declare("a")
	var all []chan struct{}
	var cmds []*exec.Cmd
	for range 100 {
		cmd, ended := h.agent()
		cmds, all = append(cmds, cmd), append(all, ended)
	}
	lives := 0
	h.eventually("all but one have ended", func() bool {
		lives = 0
		for _, ended := range all {
			select {
			case <-ended:
			default:
				lives++
			}
		}
		return lives <= 1
	})
	h.settled("a")
	info, err := h.info()
	h.must(err)
	for i, cmd := range cmds {
		select {
		case <-all[i]:
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("one that lost ended with %d", code)
			}
		default:
			if cmd.Process.Pid != info.PID {
				t.Errorf("the one that lives is %d, the one that answers %d", cmd.Process.Pid, info.PID)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(h.run, "sharetray", "lock")); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(info.PID) {
		t.Errorf("the lock names %q, %v", b, err)
	}
	h.done("quit")
	h.nothingLeft()
}

// TestFaultProfiles: the end of one agent is none of the other's business.
func TestFaultProfiles(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	link := h.declare("a")
	agent := h.live("a")
	work := strings.TrimSpace(h.done("--profile", "work", "share", "web", h.path("shared", "a"), "--port", fmt.Sprint(h.port+1)))
	v := h.visit(link, work)
	pid := h.status("a").PID
	h.kill(agent)
	h.another(agent)
	h.ready("a")
	h.done("--profile", "work", "quit")
	h.settled("a")
	v.h = h
	if now := h.status("a").PID; now != pid {
		t.Errorf("a is process %d, not %d", now, pid)
	}
	v.end()
	if err := visit(http.DefaultClient, link); err != nil {
		t.Error(err)
	}
	h.done("quit")
	h.nothingLeft()
}

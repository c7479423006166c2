//go:build unix

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/process"
	"sharetray/agentcore/record"
	"sharetray/agentcore/rundir"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// TestMain lets this binary be a share process, as the program itself can.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == agentcore.ShareProcessRole {
		os.Exit(process.Main(os.Args[2], "test"))
	}
	if len(os.Args) == 3 && os.Args[1] == agentRole {
		os.Exit(playAgent(os.Args[2]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else each share process takes a second to exit under -race
	os.Exit(m.Run())
}

const patience = 30 * time.Second

// agentRole makes this binary an agent that shares the folder "site" beside its
// own ones, and tells which process serves it where. Nobody revives it.
const agentRole = "agent-of-a-test"

func playAgent(dir string) int {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	a, err := agentcore.Start(context.Background(), pathsIn(dir), agentcore.Options{Version: "test", Exe: exe, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	st, err := a.Add(context.Background(), agentcore.NewShare{Name: "photos", Kind: "web", Target: filepath.Join(dir, "site")})
	if err != nil {
		panic(err)
	}
	fmt.Println(st.PID, st.URLs[0])
	<-a.Done()
	a.Release()
	return 0
}

func pathsIn(dir string) agentcore.Paths {
	run, state := filepath.Join(dir, rundir.Outermost), filepath.Join(dir, "state")
	return agentcore.Paths{
		Shares: filepath.Join(dir, "config/shares"), Settings: filepath.Join(dir, "config/settings.toml"),
		State: state, Logs: filepath.Join(state, "logs"), Records: filepath.Join(state, "records"), History: filepath.Join(state, "history"),
		Links: filepath.Join(run, rundir.Links), Control: filepath.Join(run, rundir.Control), Lock: filepath.Join(run, rundir.Lock),
		Revive: filepath.Join(run, rundir.Revive), AgentLog: filepath.Join(state, "agent.log"),
	}
}

// scene is a profile's folders, with whatever is planted there.
type scene struct {
	*testing.T
	dir   string
	paths agentcore.Paths
}

func newScene(t *testing.T) *scene {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // short: Unix sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{t, dir, pathsIn(dir)}
	for _, d := range []string{s.paths.Shares, s.paths.Logs, s.paths.Records, s.paths.History, s.paths.Links} {
		s.must(os.MkdirAll(d, 0o700))
	}
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) write(path, text string) string {
	s.Helper()
	s.must(os.MkdirAll(filepath.Dir(path), 0o700))
	s.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// socket leaves the file of a socket, on which somebody listens if alive is set.
func (s *scene) socket(path string, alive bool) net.Listener {
	s.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	s.must(err)
	s.must(os.Chmod(path, 0o600))
	ln.SetUnlinkOnClose(false)
	if !alive {
		ln.Close()
		return nil
	}
	s.Cleanup(func() { ln.Close() })
	return ln
}

// record leaves one of a process.
func (s *scene) record(link string, pid int, started string) string {
	s.Helper()
	name, err := share.ParseName("photos")
	s.must(err)
	s.must(record.Write(s.paths.Records, record.Record{Share: name, PID: pid, Started: started,
		Nonce: filepath.Base(link) + "MORE", Link: link, Version: "test", Since: time.Now()}))
	return record.Path(s.paths.Records, link)
}

func (s *scene) link(name string) string { return filepath.Join(s.paths.Links, name) }

// sleeper starts a process that is nobody's business.
func (s *scene) sleeper() (pid int, unharmed func()) {
	s.Helper()
	cmd := exec.Command("sleep", "1000")
	s.must(cmd.Start())
	s.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid, func() {
		s.Helper()
		if _, err := platform.ProcessStart(cmd.Process.Pid); err != nil {
			s.Errorf("the stranger was ended: %v", err)
		}
	}
}

// doctor looks, judges and mends.
func (s *scene) doctor(a Agent) []Finding {
	s.Helper()
	facts := Look(s.Context(), s.paths, nil, a, "test")
	defer facts.Close()
	return Mend(s.Context(), Judge(facts))
}

// says wants one finding that is in a state and names what.
func (s *scene) says(findings []Finding, state State, what string) {
	s.Helper()
	n := 0
	for _, f := range findings {
		if f.State == state && strings.Contains(f.Sentence, what) {
			n++
		}
	}
	if n != 1 {
		s.Errorf("%d findings are %s and name %s: %+v", n, state, what, findings)
	}
}

func (s *scene) there(want bool, paths ...string) {
	s.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) == want {
			s.Errorf("%s: %v, want it there: %t", path, err, want)
		}
	}
}

// TestMendLeftovers: what crashes leave is removed, and then nothing is left.
func TestMendLeftovers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	dead := exec.Command("true")
	s.must(dead.Run())
	stranger, unharmed := s.sleeper()
	one, two, life, half := s.link("AAAAAAAAAAAAAAAA"), s.link("BBBBBBBBBBBBBBBB"), s.link("CCCCCCCCCCCCCCCC")+platform.LifeSuffix, s.link("DDDDDDDDDDDDDDDD")
	s.socket(one, false)
	s.socket(one+platform.LifeSuffix, false)
	s.socket(life, false)
	s.socket(s.paths.Control, false)
	gone := []string{
		one, one + platform.LifeSuffix, life,
		s.record(one, dead.Process.Pid, "boot/1"),
		s.record(two, stranger, "boot/1"), // a pid that somebody else has by now
		s.write(record.Path(s.paths.Records, half), `{"format": 1, "sha`),
		s.write(filepath.Join(s.paths.Shares, ".sharetray-1.tmp"), "half"),
		s.write(filepath.Join(s.paths.Records, ".sharetray-2.tmp"), "half"),
		s.write(filepath.Join(s.paths.History, ".sharetray-3.tmp"), "half"),
		s.write(filepath.Join(s.paths.History, "old.jsonl"), "{}"),
		s.write(filepath.Join(s.paths.Logs, "old", "log"), "x"),
		s.write(filepath.Join(s.paths.Logs, "old", "log.1"), "x"),
		s.write(filepath.Join(s.paths.Logs, "old", "log.lock"), ""),
		s.write(s.paths.Lock, "1\n"), s.write(s.paths.Revive, "3\n"), filepath.Join(s.paths.Logs, "old"), s.paths.Links, s.paths.Control, filepath.Dir(s.paths.Control),
	}
	s.write(filepath.Join(s.paths.Shares, "kept.toml"), "kind = \"web\"\ntarget = \"/\"\npaused = true\n")
	kept := []string{s.write(filepath.Join(s.paths.History, "kept.jsonl"), "{}"), s.write(filepath.Join(s.paths.Logs, "kept", "log"), "x")}

	found := s.doctor(Agent{})
	for _, f := range found {
		if f.State == Problem {
			s.Errorf("%+v", f)
		}
	}
	s.there(false, gone...)
	s.there(true, kept...)
	unharmed()
	s.says(found, Mended, filepath.Join(s.paths.Logs, "old"))
	for _, f := range s.doctor(Agent{}) {
		if f.State == Mended || f.State == Problem {
			s.Errorf("the second time: %+v", f)
		}
	}
}

// TestLeaveAlone: what can't be proved to be ours is named, and not touched, nor
// asked.
func TestLeaveAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	stranger, unharmed := s.sleeper()
	started, err := platform.ProcessStart(stranger)
	s.must(err)

	elsewhere := filepath.Join(filepath.Dir(s.paths.State), "elsewhere")
	theirs := s.socket(elsewhere, true)
	asked := make(chan struct{})
	go func() {
		if c, err := theirs.Accept(); err == nil {
			c.Close()
			close(asked)
		}
	}()
	planted := s.link("PPPPPPPPPPPPPPPP")
	s.must(os.Symlink(elsewhere, planted))
	logs := filepath.Join(s.paths.Logs, "evil")
	s.must(os.Symlink(filepath.Dir(s.paths.Shares), logs))
	newer, err := json.Marshal(map[string]any{"format": record.Format + 1, "pid": "of another kind"})
	s.must(err)
	open := s.write(record.Path(s.paths.Records, s.link("OOOOOOOOOOOOOOOO")), "{}")
	s.must(os.Chmod(open, 0o622))
	note := s.write(filepath.Join(s.paths.Logs, "old", "note"), "mine")
	recordLink := filepath.Join(s.paths.Records, "LLLLLLLLLLLLLLLL.json")
	s.must(os.Symlink(elsewhere, recordLink))
	left := []string{
		planted, elsewhere, logs, open, note, recordLink,
		s.write(record.Path(s.paths.Records, s.link("NNNNNNNNNNNNNNNN")), string(newer)),
		s.record(s.link("SSSSSSSSSSSSSSSS"), stranger, started), // for all that is known, it is a share process
		s.write(filepath.Join(s.paths.Records, "README"), "mine"),
		s.write(s.link("FFFFFFFFFFFFFFFF"), "no socket"),
		s.write(s.paths.Lock, "1\n"),
	}
	if os.Geteuid() == 0 {
		foreign := s.write(record.Path(s.paths.Records, s.link("GGGGGGGGGGGGGGGG")), "{}")
		tmp := s.write(filepath.Join(s.paths.Shares, ".sharetray-9.tmp"), "theirs")
		s.must(errors.Join(os.Chown(foreign, 65534, 65534), os.Chown(tmp, 65534, 65534)))
		left = append(left, foreign, tmp)
	} else {
		t.Log("giving files away takes root: only modes and links were looked at")
	}

	for _, a := range []Agent{{}, {Runs: true, Lives: true}} {
		found := s.doctor(a)
		s.there(true, left...)
		unharmed()
		for _, path := range []string{planted, logs, open, recordLink, s.link("FFFFFFFFFFFFFFFF"), filepath.Join(s.paths.Logs, "old")} {
			s.says(found, Problem, path)
		}
		s.says(found, Problem, "SSSSSSSSSSSSSSSS.json")
		s.says(found, Info, "NNNNNNNNNNNNNNNN.json")
		s.says(found, Info, "README")
		for _, f := range found {
			if f.State == Mended {
				t.Errorf("%+v", f)
			}
		}
	}
	select {
	case <-asked:
		t.Error("who is behind a planted link was asked")
	default:
	}
}

// orphan leaves a share process whose agent was killed: its pid, and its URL.
func (s *scene) orphan() (pid int, url string) {
	s.Helper()
	agent, pid, url := s.agent()
	s.must(agent.Process.Kill())
	_ = agent.Wait()
	s.Cleanup(func() {
		if p, err := os.FindProcess(pid); err == nil && s.Failed() {
			_ = p.Signal(syscall.SIGCONT)
			_ = p.Signal(syscall.SIGQUIT)
		}
	})
	return pid, url
}

// agent starts an agent, and returns which process serves its share where.
func (s *scene) agent() (agent *exec.Cmd, pid int, url string) {
	s.Helper()
	exe, err := os.Executable()
	s.must(err)
	s.write(filepath.Join(s.dir, "site", "a.txt"), "hello")
	agent = exec.Command(exe, agentRole, s.dir)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	s.must(err)
	s.must(agent.Start())
	s.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	_, err = fmt.Fscan(out, &pid, &url)
	s.must(err)
	return agent, pid, url
}

func (s *scene) serves(url string) {
	s.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Get(url + "a.txt")
	s.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.Errorf("%s: %s", url, resp.Status)
	}
}

// untilGone waits for the end of a process.
func (s *scene) untilGone(pid int) {
	s.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := platform.ProcessStart(pid); err != nil {
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%d does not end", pid)
		}
	}
}

// TestOrphan: a share process without an agent is left to its lease, whatever
// else is wrong, and asked to end only once an agent runs that does not want it.
func TestOrphan(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	pid, url := s.orphan()
	logs := filepath.Join(s.paths.Logs, "photos")
	for _, a := range []Agent{{}, {Lives: true}} {
		found := s.doctor(a)
		s.says(found, Info, "photos is served without an agent")
		s.serves(url)
		s.there(true, s.paths.Lock, s.paths.Links, logs) // a lock that is gone would tell it that its agent was quit
	}
	s.must(os.Remove(filepath.Join(s.paths.Shares, "photos.toml")))
	s.doctor(Agent{})
	s.serves(url)
	s.there(true, logs)

	// It hangs: nothing is done to it that it could not answer for.
	p, err := os.FindProcess(pid)
	s.must(err)
	s.must(p.Signal(syscall.SIGSTOP))
	s.says(s.doctor(Agent{Runs: true, Lives: true}), Problem, "does not answer")
	s.must(p.Signal(syscall.SIGCONT))
	s.serves(url)

	s.says(s.doctor(Agent{Runs: true, Lives: true}), Mended, "the agent does not know of it: ended")
	s.untilGone(pid)
	s.doctor(Agent{})
	s.there(false, logs, filepath.Dir(s.paths.Lock))
}

// TestServedIsLeftAlone: nothing is done to what an agent looks after, even if
// it is said that it does not run.
func TestServedIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	agent, pid, url := s.agent()
	for _, seen := range []Agent{{Runs: true, Lives: true}, {Lives: true}, {}} {
		for _, f := range s.doctor(seen) {
			if f.State == Mended {
				t.Errorf("%+v: %+v", seen, f)
			}
		}
		if _, err := platform.ProcessStart(pid); err != nil {
			t.Errorf("%+v: %v", seen, err)
		}
		s.serves(url)
		s.there(true, s.paths.Lock, s.paths.Links)
	}
	s.must(agent.Process.Kill()) // what it has left is mended once the lease is over, or it was asked
	_ = agent.Wait()
	s.must(os.Remove(filepath.Join(s.paths.Shares, "photos.toml")))
	s.doctor(Agent{Runs: true, Lives: true})
	s.untilGone(pid)
}

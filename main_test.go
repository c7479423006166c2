package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/rogpeppe/go-internal/testscript"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// patience bounds every wait for what is sure to come.
const patience = 30 * time.Second

// gorace keeps programs that look for races from sleeping a second at each end.
const gorace = "atexit_sleep_ms=50"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sharetray": main, "stranger": stranger})
}

// TestScripts runs the real program, with a real agent, in folders of its own
// for each script. The commands that scripts have besides testscript's own:
//
//	exits N CMD ARG…     runs CMD and wants this exit code
//	[!] get URL          asks for a page, whose text becomes stdout; ! wants no answer
//	freeport VAR         sets VAR to a port that is free
//	takeport VAR         sets VAR to a port that is taken until the script ends
//	serve PORT TEXT      is an app at PORT that answers TEXT, until the script ends
//	line VAR             sets VAR to what the last command printed
//	keys KEY…            wants stdout to be JSON objects, or an array of some, with these keys
//	await NAME STATE     waits until a share is in a state
//	up                   waits until an agent answers
//	crash NAME|agent     kills the process of a share, or the agent, with SIGKILL
//	abandon              kills the agent, and keeps its shares from starting another one until the script ends
//	halt NAME            stops the process of a share with SIGSTOP until "resume"
//	resume               has it go on
//	tree FILE            wants the home and, as run/…, the runtime folder to hold what FILE lists, and no more
//	watch ARG…           starts a sharetray that goes on, and waits for its first line
//	watched N            waits for the end of what was started so, and wants this exit code
//	agents N             starts N agents at once and wants one to win; the rest must say so, and soon
//	gone                 wants that nothing is left of any agent but files
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "agentcore/cli/testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "get": cmdGet, "freeport": cmdFreePort, "takeport": cmdTakePort, "serve": cmdServe,
			"line": cmdLine, "keys": cmdKeys, "await": cmdAwait, "up": cmdUp, "crash": cmdCrash,
			"watch": cmdWatch, "watched": cmdWatched, "agents": cmdAgents, "gone": cmdGone,
			"abandon": cmdAbandon, "halt": cmdHalt, "resume": cmdResume, "tree": cmdTree,
		},
	})
}

// place is where one script's agents live.
type place struct {
	run    string // their runtime folder
	mark   string // what is in the environment of its processes, and of no others
	client *control.Client
	vars   []string
	watch  *exec.Cmd // of the command watch, which writes to seen
	seen   bytes.Buffer
	errs   bytes.Buffer
	rest   chan error // has a value when all is seen
	halted *os.Process
}

func placeOf(ts *testscript.TestScript) *place { return ts.Value("place").(*place) }

func setUp(e *testscript.Env) error {
	run, err := os.MkdirTemp("", "st") // short, for the sake of sockets
	if err != nil {
		return err
	}
	for key, value := range map[string]string{
		"HOME": filepath.Join(e.WorkDir, "home"), "XDG_RUNTIME_DIR": run, "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "SHARETRAY_PROFILE": "",
		"GORACE": gorace, "DISPLAY": "", "WAYLAND_DISPLAY": "", "DBUS_SESSION_BUS_ADDRESS": "unix:path=" + filepath.Join(run, "no-bus"),
		"CONFIG": filepath.Join(e.WorkDir, "home", ".config", "sharetray"),
		"STATE":  filepath.Join(e.WorkDir, "home", ".local", "state", "sharetray"),
	} {
		e.Setenv(key, value)
	}
	if err := os.Mkdir(e.Getenv("HOME"), 0o700); err != nil {
		return err
	}
	p := &place{run: run, mark: "XDG_RUNTIME_DIR=" + run, vars: slices.Clone(e.Vars), client: clientAt(filepath.Join(run, "sharetray", "control"))}
	e.Values["place"] = p
	e.Defer(func() {
		p.clear(e.T().Log)
		os.RemoveAll(run)
	})
	return nil
}

func clientAt(path string) *control.Client { return control.Dial(agentcore.Paths{Control: path}) }

// clear ends what a script has left running.
func (p *place) clear(log func(...any)) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	controls, _ := filepath.Glob(filepath.Join(p.run, "sharetray", "*", "control")) // of other profiles
	for _, path := range append(controls, filepath.Join(p.run, "sharetray", "control")) {
		if err := clientAt(path).Quit(ctx); err != nil && !platform.IsNobodyThere(err) {
			log("quit: ", err)
		}
	}
	killLeft(p.mark, log)
}

// killLeft waits until no process of a mark is left, or ends those that are.
func killLeft(mark string, log func(...any)) {
	if err := waitFor(func() bool { return len(processesOf(mark)) == 0 }); err != nil {
		for _, pid := range processesOf(mark) {
			log("a process was left behind: ", pid)
			if proc, err := os.FindProcess(pid); err == nil {
				_ = proc.Kill() // it has the mark of a folder of ours in its environment
			}
		}
	}
}

// processes finds the processes that this script's commands have started.
func (p *place) processes() []int { return processesOf(p.mark) }

// processesOf finds the processes that have a mark, a variable with its value, in
// their environment, where the system tells.
func processesOf(mark string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		vars, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(vars, []byte(mark+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func waitFor(ok func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			return errors.New("waited in vain")
		}
	}
	return nil
}

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	answer, err := fetch(args[0])
	if neg {
		if err == nil {
			ts.Fatalf("there is an answer: %s", answer)
		}
		return
	}
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), answer)
}

// fetch asks for a page and returns its status, on a line of its own, and text.
func fetch(url string) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d\n%s", resp.StatusCode, body), err
}

func listen(ts *testscript.TestScript, addr string) (net.Listener, string) {
	ln, err := net.Listen("tcp", addr)
	ts.Check(err)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	return ln, port
}

func cmdFreePort(ts *testscript.TestScript, _ bool, args []string) {
	ln, port := listen(ts, "127.0.0.1:0")
	ln.Close()
	ts.Setenv(args[0], port)
}

func cmdTakePort(ts *testscript.TestScript, _ bool, args []string) {
	ln, port := listen(ts, "127.0.0.1:0")
	ts.Defer(func() { ln.Close() })
	ts.Setenv(args[0], port)
}

func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	ln, _ := listen(ts, "127.0.0.1:"+args[0])
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, args[1]) })}
	go srv.Serve(ln)
	ts.Defer(func() { srv.Close() })
}

func cmdLine(ts *testscript.TestScript, _ bool, args []string) {
	text, ok := strings.CutSuffix(ts.ReadFile("stdout"), "\n")
	if !ok || text == "" || strings.Contains(text, "\n") {
		ts.Fatalf("not one line: %q", ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], text)
}

func cmdKeys(ts *testscript.TestScript, _ bool, args []string) {
	text := []byte(ts.ReadFile("stdout"))
	var list []map[string]any
	if bytes.HasPrefix(text, []byte("[")) {
		ts.Check(json.Unmarshal(text, &list))
	} else {
		for dec := json.NewDecoder(bytes.NewReader(text)); ; {
			var object map[string]any
			err := dec.Decode(&object)
			if err == io.EOF {
				break
			}
			ts.Check(err)
			list = append(list, object)
		}
	}
	if len(list) == 0 {
		ts.Fatalf("there is nothing in it")
	}
	for _, object := range list {
		for _, key := range args {
			if _, ok := object[key]; !ok {
				ts.Fatalf("%q is missing in %v", key, object)
			}
		}
	}
}

func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var now []agentcore.Status
	var events <-chan agentcore.Event
	var err error
	ts.Check(waitFor(func() bool { // an agent may be on its way
		now, events, err = placeOf(ts).client.Watch(ctx)
		return !platform.IsNobodyThere(err)
	}))
	ts.Check(err)
	var last agentcore.Status
	is := func(st agentcore.Status) bool {
		if st.Name == args[0] {
			last = st
		}
		return st.Name == args[0] && st.State == supervise.Phase(args[1])
	}
	if slices.ContainsFunc(now, is) {
		return
	}
	for e := range events {
		if is(e.Share) {
			return
		}
	}
	ts.Fatalf("%s is not %s but %s (%s)", args[0], args[1], last.State, last.LastError)
}

func cmdUp(ts *testscript.TestScript, _ bool, _ []string) {
	client := placeOf(ts).client
	ts.Check(waitFor(func() bool { _, err := client.Info(context.Background()); return err == nil }))
}

func cmdCrash(ts *testscript.TestScript, _ bool, args []string) {
	client := placeOf(ts).client
	var pid int
	if args[0] == "agent" {
		info, err := client.Info(context.Background())
		ts.Check(err)
		pid = info.PID
	} else {
		ts.Check(waitFor(func() bool { // the one after the last crash may not be up yet
			st, err := client.Get(context.Background(), args[0])
			ts.Check(err)
			pid = st.PID
			return pid != 0
		}))
	}
	placeOf(ts).process(ts, pid, (*os.Process).Kill)
	if args[0] == "agent" { // its shares start another one
		ts.Check(waitFor(func() bool {
			info, err := client.Info(context.Background())
			return err == nil && info.PID != pid || len(placeOf(ts).processes()) == 0
		}))
	}
}

func cmdAbandon(ts *testscript.TestScript, _ bool, _ []string) {
	lock := flock.New(filepath.Join(placeOf(ts).run, "sharetray", "revive"))
	got, err := lock.TryLock()
	ts.Check(err)
	if !got {
		ts.Fatalf("somebody starts an agent already")
	}
	ts.Defer(func() { lock.Close() })
	client := placeOf(ts).client
	info, err := client.Info(context.Background())
	ts.Check(err)
	placeOf(ts).process(ts, info.PID, (*os.Process).Kill)
	ts.Check(waitFor(func() bool { _, err := client.Info(context.Background()); return platform.IsNobodyThere(err) }))
}

// process does something to a process of this script.
func (p *place) process(ts *testscript.TestScript, pid int, do func(*os.Process) error) *os.Process {
	if !slices.Contains(p.processes(), pid) {
		ts.Fatalf("%d is not a process of this script", pid)
	}
	proc, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(do(proc))
	return proc
}

func cmdHalt(ts *testscript.TestScript, _ bool, args []string) {
	st, err := placeOf(ts).client.Get(context.Background(), args[0])
	ts.Check(err)
	placeOf(ts).halted = placeOf(ts).process(ts, st.PID, halt)
	ts.Defer(func() { _ = resume(placeOf(ts).halted) })
}

func cmdResume(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(resume(placeOf(ts).halted)) }

func cmdTree(ts *testscript.TestScript, _ bool, args []string) {
	p := placeOf(ts)
	if err := waitFor(func() bool { return len(p.processes()) == 0 }); err != nil {
		ts.Fatalf("processes are left: %v", p.processes())
	}
	var lines []string
	for root, name := range map[string]string{ts.Getenv("HOME"): "home", p.run: "run"} {
		ts.Check(filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if d.IsDir() {
				path += "/"
			}
			lines = append(lines, name+strings.TrimPrefix(path, root))
			return err
		}))
	}
	slices.Sort(lines)
	if got, want := strings.Join(lines, "\n")+"\n", ts.ReadFile(args[0]); got != want {
		ts.Fatalf("there is\n%snot\n%s", got, want)
	}
}

func cmdWatch(ts *testscript.TestScript, _ bool, args []string) {
	p := placeOf(ts)
	exe, err := exec.LookPath("sharetray")
	ts.Check(err)
	p.watch, p.rest = exec.Command(exe, args...), make(chan error, 1)
	p.watch.Env, p.watch.Stderr = p.vars, &p.errs
	out, err := p.watch.StdoutPipe()
	ts.Check(err)
	ts.Check(p.watch.Start())
	in := bufio.NewReader(out)
	first, err := in.ReadString('\n')
	ts.Check(err)
	p.seen.WriteString(first)
	go func() {
		_, err := p.seen.ReadFrom(in)
		p.rest <- err
	}()
}

func cmdWatched(ts *testscript.TestScript, _ bool, args []string) {
	p := placeOf(ts)
	ts.Check(<-p.rest)
	_ = p.watch.Wait()
	if code := strconv.Itoa(p.watch.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
	_, _ = p.seen.WriteTo(ts.Stdout())
	_, _ = p.errs.WriteTo(ts.Stderr())
}

func cmdAgents(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	exe, err := exec.LookPath("sharetray")
	ts.Check(err)
	type end struct {
		code   int
		errs   string
		lasted time.Duration
	}
	ends := make(chan end, n)
	for range n {
		cmd := exec.Command(exe, "agent", "--no-tray")
		cmd.Env = placeOf(ts).vars
		var errs bytes.Buffer
		cmd.Stderr = &errs
		began := time.Now()
		ts.Check(cmd.Start())
		go func() {
			_ = cmd.Wait()
			ends <- end{cmd.ProcessState.ExitCode(), errs.String(), time.Since(began)}
		}()
	}
	for range n - 1 {
		e := <-ends
		if e.code != 1 || strings.Count(e.errs, "\n") != 1 || !strings.HasPrefix(e.errs, "sharetray: ") || !strings.Contains(e.errs, "running already") {
			ts.Fatalf("one that lost ended with %d after %v: %s", e.code, e.lasted, e.errs)
		}
		if e.lasted > 5*time.Second { // under a second, on a machine that has nothing else to do
			ts.Fatalf("one that lost took %v", e.lasted)
		}
	}
	client := placeOf(ts).client
	ts.Check(waitFor(func() bool { _, err := client.Info(context.Background()); return err == nil }))
	ts.Check(client.Quit(context.Background()))
	if e := <-ends; e.code != 0 {
		ts.Fatalf("the one that won ended with %d: %s", e.code, e.errs)
	}
}

func cmdGone(ts *testscript.TestScript, _ bool, _ []string) {
	p := placeOf(ts)
	if err := waitFor(func() bool { return len(p.processes()) == 0 }); err != nil {
		ts.Fatalf("processes are left: %v", p.processes())
	}
	left, err := filepath.Glob(filepath.Join(p.run, "*"))
	ts.Check(err)
	if left != nil {
		ts.Fatalf("left in the runtime folder: %v", left)
	}
}

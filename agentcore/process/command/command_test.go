package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore/policy"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

const patience = 30 * time.Second

// TestMain is a program of the tests when its first argument names one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if program, ok := programs[os.Args[1]]; ok {
			program(os.Args[2:])
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// programs are what the tests run.
var programs map[string]func(args []string)

func init() {
	programs = map[string]func(args []string){
		"serve":     func(args []string) { serve(os.Getenv("PORT"), args) },
		"serve-arg": func(args []string) { serve(args[0], args[1:]) },
		"exit": func(args []string) {
			fmt.Println(args[1])
			code, _ := strconv.Atoi(args[0])
			os.Exit(code)
		},
		"deaf": func([]string) { // ignores being asked, and has a daemon that does too
			signal.Ignore(syscall.SIGTERM)
			start("sleep-deaf")
			fmt.Println("deaf")
			time.Sleep(time.Hour)
		},
		"sleep-deaf": func([]string) { signal.Ignore(syscall.SIGTERM); time.Sleep(time.Hour) },
		"background": func([]string) { start("serve"); fmt.Println("gone into the background") },
		"flood": func([]string) {
			b := bytes.Repeat([]byte("flood "), 10000)
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				_, _ = os.Stdout.Write(b)
			}
			fmt.Println("\nthe flood is over")
			time.Sleep(time.Hour)
		},
		"say": func(args []string) {
			for _, a := range args {
				fmt.Print(a)
				time.Sleep(50 * time.Millisecond) // pieces that are read one by one
			}
			time.Sleep(time.Hour)
		},
		"run": func(args []string) { // a runner, of the program that args name
			r, err := New(Spec{Args: args[1:], Ready: share.ReadyPort, ReadyTimeout: patience, Grace: time.Second, Mark: args[0]}, Options{})
			if err != nil {
				panic(err)
			}
			r.Start()
			_ = r.WaitReady(context.Background())
			fmt.Println("pid", r.State().PID)
			time.Sleep(time.Hour)
		},
	}
}

func serve(port string, args []string) {
	fmt.Println("serving", args)
	_ = http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %q %s", os.Getpid(), args, os.Getenv("MODE"))
	}))
}

// start has a program run in a session of its own, as a daemon does.
func start(args ...string) {
	exe, _ := os.Executable()
	cmd := exec.Command("setsid", append([]string{"-f", exe}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		panic(err)
	}
}

// quick is a policy with short waits.
func quick() policy.Policy {
	p := policy.Default()
	p.MinReady, p.BackoffMin, p.BackoffMax, p.GiveUpAfter = 1, time.Millisecond, 10*time.Millisecond, 4
	return p
}

type bed struct {
	*testing.T
	*Runner
	out buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run starts a runner of a program of the tests.
func run(t *testing.T, spec Spec, args ...string) *bed {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if len(args) > 0 {
		spec.Args = append([]string{exe}, args...)
	}
	if spec.Dir == "" {
		spec.Dir = t.TempDir()
	}
	if spec.Ready == "" {
		spec.Ready = share.ReadyPort
	}
	if spec.ReadyTimeout == 0 {
		spec.ReadyTimeout = patience
	}
	if spec.Grace == 0 {
		spec.Grace = 10 * time.Second
	}
	b := &bed{T: t}
	if b.Runner, err = New(spec, Options{Output: &b.out, Policy: quick()}); err != nil {
		t.Fatal(err)
	}
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

func (b *bed) ready() {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.WaitReady(ctx); err != nil {
		b.Fatalf("%v, %+v, %s", err, b.State(), b.out.String())
	}
}

func (b *bed) get() string {
	b.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", b.Port()))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

// until waits until a state is as wanted.
func (b *bed) until(what string, ok func(State) bool) State {
	b.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if st := b.State(); ok(st) {
			return st
		} else if time.Now().After(end) {
			b.Fatalf("never: %s: %+v, %s", what, st, b.out.String())
		}
	}
}

func (b *bed) sentence(part string) {
	b.Helper()
	b.until(part, func(s State) bool { return strings.Contains(s.Sentence, part) })
}

// The tests are not parallel: descendants are those of this process.

func TestServes(t *testing.T) {
	for _, r := range []share.Readiness{share.ReadyPort, share.ReadyHTTP} {
		b := run(t, Spec{Ready: r, ReadyPath: "/", Env: []string{"MODE=at {port}"}}, "serve", "a b", "{port}")
		b.ready()
		st := b.State()
		if got, want := b.get(), fmt.Sprintf(`%d ["a b" "%d"] at %[2]d`, st.PID, b.Port()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		b.Stop()
		if _, err := platform.ProcessStart(st.PID); err == nil {
			t.Error("it still runs")
		}
	}
	b := run(t, Spec{Shell: true, Args: []string{"exec '" + exe(t) + "' serve-arg {port} 'by shell'"}})
	b.ready()
	if !strings.Contains(b.get(), `["by shell"]`) {
		t.Error(b.get())
	}
}

func exe(t *testing.T) string {
	t.Helper()
	e, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestComesBack: a program that is killed is started again, at the same port.
func TestComesBack(t *testing.T) {
	b := run(t, Spec{}, "serve")
	b.ready()
	before := b.State()
	kill(t, before.PID)
	b.until("another process", func(s State) bool { return s.Ready && s.PID != before.PID })
	if got := b.get(); !strings.HasPrefix(got, fmt.Sprint(b.State().PID, " ")) {
		t.Error(got)
	}
	now := b.State().PID
	b.Restart("a test")
	b.until("a third", func(s State) bool { return s.Ready && s.PID != now })
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestThatDoNotServe(t *testing.T) {
	b := run(t, Spec{Args: []string{"/none/such"}})
	b.sentence("there is no program /none/such")
	b = run(t, Spec{Args: []string{filepath.Join(t.TempDir())}})
	b.sentence("can't be run")
	b = run(t, Spec{Dir: "/none/such"}, "serve")
	b.sentence("the folder /none/such")
	b = run(t, Spec{}, "exit", "3", "\x1b[31mno good reason\x1b[0m")
	b.sentence("the program exited with code 3 (no good reason), 4 times in a row: mend it")
	b.Restart("it was mended")
	b.until("another try", func(s State) bool { return !strings.Contains(s.Sentence, "mend it") })
	b = run(t, Spec{}, "exit", "0", "bye")
	b.sentence("the program has ended (bye)")
	b = run(t, Spec{ReadyTimeout: time.Second}, "say", "hello")
	b.sentence("did not listen at port")
	b = run(t, Spec{Ready: share.ReadyHTTP, ReadyPath: "/", ReadyTimeout: time.Second}, "say", "hello")
	b.sentence("did not answer at port")
}

// TestTree: all that it has started ends with it, whatever it does against that.
func TestTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what goes into a session of its own is only known on Linux")
	}
	b := run(t, Spec{Ready: share.ReadyLine, ReadyLine: regexp.MustCompile("^deaf"), Grace: 200 * time.Millisecond}, "deaf")
	b.ready()
	if n := len(platform.Descendants()); n < 2 {
		t.Errorf("%d processes", n)
	}
	b.Stop()
	if left := platform.Descendants(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	b = run(t, Spec{}, "background")
	b.ready()
	if !strings.Contains(b.get(), "[]") {
		t.Error(b.get())
	}
	for _, pid := range platform.Descendants() {
		kill(t, pid)
	}
	b.until("that it is started again", func(s State) bool { return strings.Contains(s.Sentence, "the program has ended") || s.Ready })
	b.Stop()
	if left := platform.Descendants(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestLeftOver: what a runner has left that was killed is ended by the next one of
// the share, and by no other.
func TestLeftOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the environment of other processes is only known on Linux")
	}
	mark := "test" + strconv.Itoa(os.Getpid())
	owner := exec.Command(exe(t), "run", mark, exe(t), "serve")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "pid %d\n", &pid); err != nil || pid == 0 {
		t.Fatal(pid, err)
	}
	sweep := func(mark string) {
		t.Helper()
		r, err := New(Spec{Args: []string{"x"}, Mark: mark}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r.sweep()
	}
	sweep(mark) // the owner lives
	if _, err := platform.ProcessStart(pid); err != nil {
		t.Fatal("a living owner's program was ended")
	}
	_ = owner.Process.Kill()
	_ = owner.Wait()
	sweep(mark + "x")
	if _, err := platform.ProcessStart(pid); err != nil {
		t.Fatal("a stranger ended it")
	}
	sweep(mark)
	if _, err := platform.ProcessStart(pid); err == nil {
		t.Error("it still runs")
	}
}

func TestFlood(t *testing.T) {
	b := run(t, Spec{Ready: share.ReadyStarted}, "flood")
	for end := time.Now().Add(patience); !strings.Contains(b.out.String(), "were dropped"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are kept, and not told of the rest", len(b.out.String()))
		}
		if strings.Contains(b.State().Sentence, "ended") {
			t.Fatal(b.State())
		}
	}
	if n := len(b.out.String()); n > outputBurst+20*outputRate {
		t.Errorf("%d bytes are kept", n)
	}
}

func TestOutput(t *testing.T) {
	b := run(t, Spec{Ready: share.ReadyStarted}, "say", "at https://abc.tryc", "loudflare.com/x", " | now\n")
	b.until("its link", func(s State) bool { return s.Link == "https://abc.trycloudflare.com/x" })
	b = run(t, Spec{Ready: share.ReadyStarted, Link: regexp.MustCompile(`url=(\S+)`)}, "say", "\x1b[1murl=", "http://x.example\x1b[0m \n")
	b.until("its link", func(s State) bool { return s.Link == "http://x.example" })
	b = run(t, Spec{Ready: share.ReadyLine, ReadyLine: regexp.MustCompile(`ready\?$`)}, "say", "are you ", "ready?")
	b.ready()
	// Neither a line without an end nor one of megabytes is much.
	o := newOutput(nil, nil, regexp.MustCompile("end"))
	for range 100 {
		o.take(bytes.Repeat([]byte("x"), 1<<16))
	}
	if o.line.Len() > maxLine {
		t.Errorf("%d bytes of a line", o.line.Len())
	}
	o.take([]byte("\nthe end\xff\n"))
	select {
	case <-o.matched:
	default:
		t.Error("the line after it is not seen")
	}
	if o.last() != "the end\uFFFD" {
		t.Errorf("%q", o.last())
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"sub", "node_modules"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := run(t, Spec{Dir: dir, Watch: []string{"**/*.js"}}, "serve")
	b.ready()
	before := b.State().PID
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(time.Now().String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sub/a.txt")
	write("node_modules/a.js")
	write("sub/a.js")
	b.until("another process", func(s State) bool { return s.Ready && s.PID != before })
	for pattern, names := range map[string][2]string{
		"*.go": {"a.go a/b.go", "a.gox"}, "src/**/*.ts": {"src/a.ts src/b/c.ts", "a.ts lib/a.ts"}, "**": {"a a/b", ""}, "a/?": {"a/b", "a/bc b"}, "./x": {"x", "a/x"},
	} {
		for name := range strings.FieldsSeq(names[0]) {
			if !matchesAny([]string{pattern}, name) {
				t.Errorf("%s is not %s", name, pattern)
			}
		}
		for name := range strings.FieldsSeq(names[1]) {
			if matchesAny([]string{pattern}, name) {
				t.Errorf("%s is %s", name, pattern)
			}
		}
	}
}

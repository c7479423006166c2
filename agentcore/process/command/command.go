// Package command runs a program as what is behind a share: it gives it a port,
// starts it again when it ends, finds out when it can be visited, and stops all
// that it has started.
//
// It must not know how visitors reach the program, nor what a share is beyond
// when one is ready.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/policy"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// Spec is what is to run. In Args and the values of Env, {port} stands for the
// port that the program is to serve on; it finds it as PORT in its environment,
// too.
type Spec struct {
	Args  []string
	Shell bool // Args[0] is a line for the system's shell
	Dir   string
	Env   []string // NAME=VALUE, beside this process's own

	Ready        share.Readiness
	ReadyPath    string
	ReadyLine    *regexp.Regexp
	ReadyTimeout time.Duration
	Link         *regexp.Regexp // finds its own link in what it prints; nil: those of well-known programs
	Watch        []string       // patterns of files below Dir
	Grace        time.Duration  // from being asked to end to being made to
	// Mark is the same for all processes of one share, and no other's: by it, what
	// a process that died has left is found.
	Mark string
}

// Options are what a Runner tells, and whom.
type Options struct {
	Changed func()    // called when State says another thing; it must not wait
	Output  io.Writer // takes what the program prints
	Log     *slog.Logger
	Policy  policy.Policy // when it is started again
}

// State is how a program is.
type State struct {
	Ready    bool   // it can be visited
	Sentence string // why not, for people
	Link     string // that it has made itself
	PID      int    // 0: it does not run
}

// Runner keeps a program running.
type Runner struct {
	spec Spec
	opt  Options
	port uint16

	ctx     context.Context
	stop    context.CancelFunc
	done    chan struct{}
	restart chan string

	mu    sync.Mutex
	state State
	moved chan struct{} // closed and replaced when state changes
}

// markVariable is in the environment of what runs for a share.
const markVariable = link.ProgramVariable

// starting is said of a program that comes up.
const starting = "the program is starting"

// New makes a runner, and chooses the program's port. Nothing runs before Start.
func New(spec Spec, opt Options) (*Runner, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Policy == (policy.Policy{}) {
		opt.Policy = policy.Default()
	}
	r := &Runner{spec: spec, opt: opt, done: make(chan struct{}), restart: make(chan string, 1), moved: make(chan struct{})}
	r.state.Sentence = starting
	r.ctx, r.stop = context.WithCancel(context.Background())
	if r.spec.Dir == "" {
		r.spec.Dir, _ = os.UserHomeDir()
	}
	port, err := freePort()
	r.port = port
	return r, err
}

// Port is the one that the program is to serve on.
func (r *Runner) Port() uint16 { return r.port }

// State is how the program is now.
func (r *Runner) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Start begins to run the program. It does not wait for it.
func (r *Runner) Start() {
	go func() {
		defer close(r.done)
		r.run()
	}()
}

// Restart stops the program and starts it again.
func (r *Runner) Restart(why string) {
	select {
	case r.restart <- why:
	default:
	}
}

// Stop ends the program, and all that it has started. It returns when that is
// done.
func (r *Runner) Stop() {
	r.stop()
	<-r.done
}

// WaitReady waits until the program can be visited, or ctx ends.
func (r *Runner) WaitReady(ctx context.Context) error {
	for {
		r.mu.Lock()
		ready, moved := r.state.Ready, r.moved
		r.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Runner) set(change func(*State)) {
	r.mu.Lock()
	before := r.state
	change(&r.state)
	changed := r.state != before
	if changed {
		close(r.moved)
		r.moved = make(chan struct{})
	}
	r.mu.Unlock()
	if changed && r.opt.Changed != nil {
		r.opt.Changed()
	}
}

// run is the runner's goroutine: the program's lives, one after the other.
func (r *Runner) run() {
	r.sweep()
	r.adoptOrphans()
	changes := watchFiles(r.ctx, r.spec.Dir, r.spec.Watch, r.opt.Log)
	early := 0 // lives in a row that ended before they were ready for a while
	for r.ctx.Err() == nil {
		end := r.live(changes)
		if r.ctx.Err() != nil {
			break
		}
		if end.asked {
			early = 0
			r.set(func(s *State) { *s = State{Sentence: starting} })
			continue
		}
		if end.readyFor >= r.opt.Policy.MinReady {
			early = 0
			r.fail(end.why + "; it is started again")
			continue
		}
		early++
		if early >= r.opt.Policy.GiveUpAfter || end.hopeless {
			r.fail(end.why + r.hint(end))
			if !r.await(changes, nil) {
				break
			}
			early = 0
			continue
		}
		wait := r.opt.Policy.Backoff(early)
		r.fail(fmt.Sprintf("%s; it is started again in %v", end.why, max(wait, 100*time.Millisecond).Round(100*time.Millisecond)))
		wait = time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
		if !r.await(changes, time.After(wait)) {
			break
		}
	}
	r.set(func(s *State) { *s = State{} })
}

func (r *Runner) hint(end ending) string {
	if end.hopeless {
		return ""
	}
	return fmt.Sprintf(", %d times in a row: mend it, then restart the share", r.opt.Policy.GiveUpAfter)
}

func (r *Runner) fail(sentence string) {
	r.opt.Log.Warn("the program ended", "reason", sentence)
	r.set(func(s *State) { *s = State{Sentence: sentence} })
}

// await waits until it is time for another life. It reports false at the end.
func (r *Runner) await(changes <-chan string, late <-chan time.Time) bool {
	select {
	case <-late:
	case why := <-r.restart:
		r.opt.Log.Info("the program is started again", "why", why)
	case file := <-changes:
		r.opt.Log.Info("the program is started again", "changed", file)
	case <-r.ctx.Done():
		return false
	}
	return true
}

// ending is how a life of the program ended.
type ending struct {
	why      string
	asked    bool // a restart, or a file that has changed
	hopeless bool // trying again would not mend it
	readyFor time.Duration
}

// live runs the program once, and returns when nothing of it is left.
func (r *Runner) live(changes <-chan string) ending {
	args := r.args()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = r.spec.Dir, r.environment()
	platform.GroupProgram(cmd)
	out, in, err := os.Pipe()
	if err != nil {
		return ending{why: fmt.Sprintf("the program can't be started: %v", err)}
	}
	cmd.Stdout, cmd.Stderr = in, in // files: nobody waits for who else has them
	err = cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return ending{why: r.whyNot(err), hopeless: errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)}
	}
	owned.add(cmd.Process.Pid)
	defer owned.remove(cmd.Process.Pid)
	r.set(func(s *State) { *s = State{PID: cmd.Process.Pid, Sentence: s.Sentence} })

	output := newOutput(r.opt.Output, r.spec.Link, r.spec.ReadyLine)
	go output.read(out)
	defer out.Close()
	exited := make(chan struct{})
	var exitErr error // valid after exited
	go func() {
		exitErr = cmd.Wait()
		close(exited)
	}()
	life, over := context.WithCancel(r.ctx)
	defer over()
	ready := make(chan error, 1)
	go func() { ready <- r.becomesReady(life, output) }()

	var readyAt time.Time
	end := func(e ending) ending {
		over()
		r.end(cmd.Process.Pid, exited)
		if !readyAt.IsZero() {
			e.readyFor = time.Since(readyAt)
		}
		return e
	}
	first := exited // nil: it has ended, and what it has left in the background goes on
	look := time.NewTicker(headlessLook)
	defer look.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return end(ending{asked: true})
		case why := <-r.restart:
			r.opt.Log.Info("the program is started again", "why", why)
			return end(ending{asked: true})
		case file := <-changes:
			r.opt.Log.Info("the program is started again", "changed", file)
			return end(ending{asked: true})
		case link := <-output.link:
			r.set(func(s *State) { s.Link = link })
		case err := <-ready:
			if err != nil {
				if life.Err() == nil {
					return end(ending{why: err.Error()})
				}
				continue
			}
			readyAt = time.Now()
			r.set(func(s *State) { s.Ready, s.Sentence = true, "" })
		case <-first:
			if exitErr == nil && r.hasMore(cmd.Process.Pid) {
				first = nil
				continue
			}
			return end(ending{why: r.whyEnded(exitErr, output.lastWords())})
		case <-look.C:
			if first == nil && !r.hasMore(cmd.Process.Pid) {
				return end(ending{why: r.whyEnded(nil, output.lastWords())})
			}
		}
	}
}

// headlessLook is how often it is looked whether a program that has gone into the
// background still runs.
const headlessLook = time.Second

// hasMore reports whether something runs that the program has left behind.
func (r *Runner) hasMore(pid int) bool {
	return len(platform.Descendants()) > 0 || platform.GroupLives(pid)
}

// end stops what is left of a life: first it asks, then it insists.
func (r *Runner) end(pid int, exited <-chan struct{}) {
	gone := func(within time.Duration) bool {
		late := time.After(within)
		for tick := 5 * time.Millisecond; ; tick = min(2*tick, 100*time.Millisecond) {
			select {
			case <-exited:
				if !r.hasMore(pid) {
					return true
				}
			default:
			}
			select {
			case <-late:
				return false
			case <-time.After(tick):
			}
		}
	}
	_ = platform.StopProgram(pid, platform.Descendants(), false)
	if gone(r.spec.Grace) {
		return
	}
	for range 20 { // what forks while it is being ended
		_ = platform.StopProgram(pid, platform.Descendants(), true)
		if gone(100 * time.Millisecond) {
			return
		}
	}
	r.opt.Log.Error("a process of the program can't be ended", "pid", pid)
}

// whyNot says why a program could not be started.
func (r *Runner) whyNot(err error) string {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		if _, dirErr := os.Stat(r.spec.Dir); dirErr != nil {
			return fmt.Sprintf("the folder %s in which the program is to run is not there", r.spec.Dir)
		}
		return fmt.Sprintf("there is no program %s: check the spelling, or give its whole path", r.spec.Args[0])
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s can't be run: give yourself the right to execute it", r.spec.Args[0])
	}
	return fmt.Sprintf("the program can't be started: %v", err)
}

// whyEnded says how a program ended, with its last words.
func (r *Runner) whyEnded(err error, last string) string {
	why := "the program has ended"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		why = strings.Replace(platform.ExitCause(exit.ProcessState), "it ", "the program ", 1)
	}
	if last != "" {
		why += " (" + last + ")"
	}
	return why
}

func (r *Runner) args() []string {
	args := r.spec.Args
	if r.spec.Shell {
		args = platform.ShellProgram(args[0])
	}
	with := make([]string, len(args))
	for i, a := range args {
		with[i] = r.withPort(a)
	}
	return with
}

func (r *Runner) withPort(text string) string {
	return strings.ReplaceAll(text, "{port}", strconv.Itoa(int(r.port)))
}

// ours are variables of share processes, which mean nothing good to others.
var ours = []string{"GOGC", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", markVariable, "PORT"}

func (r *Runner) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		keep := true
		for _, o := range ours {
			keep = keep && name != o
		}
		if keep {
			env = append(env, v)
		}
	}
	env = append(env, "PORT="+strconv.Itoa(int(r.port)))
	for _, v := range r.spec.Env {
		env = append(env, r.withPort(v))
	}
	if started, err := platform.ProcessStart(os.Getpid()); err == nil && r.spec.Mark != "" {
		env = append(env, fmt.Sprintf("%s=%s:%d:%s", markVariable, r.spec.Mark, os.Getpid(), started))
	}
	return env
}

// sweep ends what a process that died has left of this share.
func (r *Runner) sweep() {
	if r.spec.Mark == "" {
		return
	}
	killed := platform.KillMarked(markVariable, func(value string) bool {
		rest, ok := strings.CutPrefix(value, r.spec.Mark+":")
		owner, started, found := strings.Cut(rest, ":")
		pid, err := strconv.Atoi(owner)
		if !ok || !found || err != nil {
			return false
		}
		now, err := platform.ProcessStart(pid)
		return err != nil || now != started
	})
	if killed > 0 {
		r.opt.Log.Warn("processes were ended that an earlier run of the program had left", "count", killed)
	}
}

// owned are the processes of this package that somebody waits for.
var owned pids

type pids struct {
	mu   sync.Mutex
	all  map[int]bool
	once sync.Once
}

func (p *pids) add(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[int]bool{}
	}
	p.all[pid] = true
}

func (p *pids) remove(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, pid)
}

func (p *pids) has(pid int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[pid]
}

func (r *Runner) adoptOrphans() {
	owned.once.Do(func() {
		if err := platform.AdoptOrphans(owned.has); err != nil {
			r.opt.Log.Warn("what the program leaves in the background may not be stopped", "error", err)
		}
	})
}

// becomesReady waits until the program can be visited. The error says why it can't.
func (r *Runner) becomesReady(ctx context.Context, output *output) error {
	if r.spec.Ready == share.ReadyStarted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.spec.ReadyTimeout)
	defer cancel()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(r.port)))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}, Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		ok := false
		switch r.spec.Ready {
		case share.ReadyLine:
			select {
			case <-output.matched:
				return nil
			default:
			}
		case share.ReadyHTTP:
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+r.spec.ReadyPath, nil)
			if err != nil {
				return err
			}
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
				ok = resp.StatusCode < 500
			}
		default:
			if c, err := new(net.Dialer).DialContext(ctx, "tcp", addr); err == nil {
				c.Close()
				ok = true
			}
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New(r.notReady())
		case <-time.After(wait):
		}
	}
}

func (r *Runner) notReady() string {
	switch r.spec.Ready {
	case share.ReadyLine:
		return fmt.Sprintf("the program did not print the line that is waited for within %v", r.spec.ReadyTimeout)
	case share.ReadyHTTP:
		return fmt.Sprintf("the program did not answer at port %d within %v", r.port, r.spec.ReadyTimeout)
	}
	return fmt.Sprintf("the program did not listen at port %d within %v: have it use {port} or PORT, or set ready=started if it has none", r.port, r.spec.ReadyTimeout)
}

func freePort() (uint16, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("choose a port for the program: %w", err)
	}
	defer ln.Close()
	return uint16(ln.Addr().(*net.TCPAddr).Port), nil
}

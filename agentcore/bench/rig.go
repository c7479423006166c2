package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rig is what all measurements stand on: a temporary folder, and the processes
// that were started there. Each of those carries an entry in its environment
// that nothing else has, and its descendants inherit it: so whatever a
// supervisor leaves behind is found, and nobody else's process is touched.
type rig struct {
	dir   string
	site  string // the folder that every server serves
	caddy string
	out   io.Writer // progress
}

const (
	markEnv      = "SHARETRAY_BENCH_RUN"
	smallFile    = "small.bin" // in the site
	smallSize    = 4 << 10
	downloadFile = "download.bin" // in the site, too
)

func newRig(out io.Writer) (*rig, error) {
	dir, err := os.MkdirTemp("", "stb") // short: Unix socket paths end at 107 bytes
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, site: filepath.Join(dir, "site"), out: out}
	// Root drops its rights in some servers, and must be able to read it then.
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(r.site, 0o755), r.addFile(smallFile, smallSize))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// close ends what still runs and removes the folder.
func (r *rig) close() error {
	for _, label := range r.labels() {
		r.sweep(label, 0)
	}
	return os.RemoveAll(r.dir)
}

func (r *rig) say(format string, args ...any) { fmt.Fprintf(r.out, "bench: "+format+"\n", args...) }

// addFile puts a file of the given size into the site, filled with the pattern.
func (r *rig) addFile(name string, size int64) error {
	f, err := os.Create(filepath.Join(r.site, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.LimitReader(&patternReader{}, size))
	return errors.Join(err, f.Close())
}

// copyFile makes a copy of a program.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// place is the folder and the environment of one server and all it starts.
type place struct {
	rig   *rig
	label string
	dir   string
	extra []string
}

// newPlace makes a home of its own, with every XDG folder in it.
func (r *rig) newPlace(name string, extra ...string) (*place, error) {
	dir, err := os.MkdirTemp(r.dir, name)
	if err != nil {
		return nil, err
	}
	p := &place{rig: r, label: filepath.Base(dir), dir: dir, extra: extra}
	for _, sub := range []string{"home", "config", "state", "data", "cache", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *place) path(elem ...string) string {
	return filepath.Join(append([]string{p.dir}, elem...)...)
}

func (p *place) env() []string {
	var env []string
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		switch {
		case strings.HasPrefix(key, "SHARETRAY"), strings.HasPrefix(key, "PM2"):
		case key == "DISPLAY", key == "WAYLAND_DISPLAY", key == "DBUS_SESSION_BUS_ADDRESS":
		default:
			env = append(env, entry)
		}
	}
	env = append(env,
		"PATH="+searchPath(),
		"HOME="+p.path("home"),
		"XDG_CONFIG_HOME="+p.path("config"),
		"XDG_STATE_HOME="+p.path("state"),
		"XDG_DATA_HOME="+p.path("data"),
		"XDG_CACHE_HOME="+p.path("cache"),
		"XDG_RUNTIME_DIR="+p.path("run"),
		p.rig.mark(p.label),
	)
	return append(env, p.extra...)
}

// run runs a command to its end and returns what it printed.
func (p *place) run(ctx context.Context, command string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env, cmd.Dir = p.env(), p.dir
	// A file, not a pipe: what the command leaves running may hold it open.
	said, err := os.CreateTemp(p.dir, "said")
	if err != nil {
		return "", err
	}
	defer said.Close()
	complained := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, complained
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	text, _ := os.ReadFile(said.Name())
	if err != nil {
		return string(text), fmt.Errorf("%s %s: %w: %s", filepath.Base(command), strings.Join(args, " "), err,
			lastOf(complained.String()+string(text)))
	}
	return string(text), nil
}

// process is one that runs in the background.
type process struct {
	*os.Process
	log  string
	done chan struct{} // closed when it has ended
}

// start starts a command that goes on running; its output goes into a file.
func (p *place) start(command string, args ...string) (*process, error) {
	logs, err := os.CreateTemp(p.dir, "log")
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	cmd := exec.Command(command, args...)
	cmd.Env, cmd.Dir = p.env(), p.dir
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	started := &process{Process: cmd.Process, log: logs.Name(), done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(started.done)
	}()
	return started, nil
}

// end asks a process to end by a signal, and makes it when it does not.
func (p *process) end(ask os.Signal) {
	if ask != nil && p.Signal(ask) == nil {
		select {
		case <-p.done:
			return
		case <-time.After(10 * time.Second):
		}
	}
	p.Kill()
	<-p.done
}

func (r *rig) mark(label string) string { return markEnv + "=" + filepath.Join(r.dir, label) }

// labels are those of every place that was made.
func (r *rig) labels() []string {
	entries, _ := os.ReadDir(r.dir)
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, e.Name())
		}
	}
	return all
}

// sweep waits until nothing that carries the label runs any more, and kills
// what does after the patience. A process is not seen in the instant in which
// it executes another program, so nothing must be seen twice.
func (r *rig) sweep(label string, patience time.Duration) {
	deadline := time.Now().Add(patience)
	empty := 0
	for last := deadline.Add(10 * time.Second); time.Now().Before(last); {
		left := carrying(r.mark(label))
		if len(left) > 0 {
			empty = 0
		} else if empty++; empty == 2 {
			return
		}
		if time.Now().After(deadline) {
			for _, pid := range left {
				kill(pid)
			}
		}
		time.Sleep(20 * time.Millisecond) // a stranger's children: there is no event to wait for
	}
}

// kill is SIGKILL.
func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer p.Release()
	return p.Kill()
}

// poll asks until the answer is yes, an error, or a minute has passed.
func poll(ctx context.Context, what string, every time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		done, err := ask()
		if done || err != nil {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
	}
}

// pause lets time pass, but not longer than the context lives.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// freePorts finds n ports of loopback that are free now.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the loop: so that no port comes twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// searchPath is PATH with the folders where Debian keeps daemons.
func searchPath() string { return os.Getenv("PATH") + ":/usr/sbin:/sbin" }

// lookFor finds a command in searchPath; "" when it is not there.
func lookFor(name string) string {
	for _, dir := range filepath.SplitList(searchPath()) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

// lastOf is the end of a text, on one line, for an error.
func lastOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

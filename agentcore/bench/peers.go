package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// supervisor keeps a web server up. What each peer supervises is the same
// `caddy file-server`; each is left at its own defaults.
type supervisor interface {
	name() string
	version() string
	missing() string // why it can't be measured; "" when it can
	serve(ctx context.Context, r *rig, port int) (service, error)
}

// service is the site, served under a supervisor.
type service interface {
	pid(ctx context.Context) (int, error) // of the process that serves; 0: none now
	restart(ctx context.Context) error
	stop()
}

// fileServer is the command line of stock Caddy serving the site.
func fileServer(r *rig, port int) []string {
	return []string{r.caddy, "file-server", "--root", r.site, "--listen", address(port)}
}

// runScript is what runit and s6 start.
func runScript(r *rig, port int) []byte {
	return []byte("#!/bin/sh\nexec '" + strings.Join(fileServer(r, port), "' '") + "'\n")
}

// serviceDir makes the folder that runit and s6 scan.
func serviceDir(p *place, port int) (scan, service string, err error) {
	scan = p.path("sv")
	service = filepath.Join(scan, "site")
	if err := os.MkdirAll(service, 0o755); err != nil {
		return "", "", err
	}
	return scan, service, os.WriteFile(filepath.Join(service, "run"), runScript(p.rig, port), 0o755)
}

// debian is a peer that comes with the system's packages.
type debian struct {
	title, pack string
	commands    []string
}

func (d debian) name() string { return d.title }

func (d debian) version() string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", d.pack).Output()
	if err != nil || len(out) == 0 {
		return "version not known"
	}
	return string(out)
}

func (d debian) missing() string {
	for _, command := range d.commands {
		if lookFor(command) == "" {
			return "not there: no " + command
		}
	}
	return ""
}

// daemon is a supervisor in the foreground, its one service asked about by functions.
type daemon struct {
	*process
	place   *place
	quit    os.Signal
	ask     func(context.Context) (int, error)
	reboot  func(context.Context) error
	goodbye func()
}

func (d *daemon) pid(ctx context.Context) (int, error) { return d.ask(ctx) }
func (d *daemon) restart(ctx context.Context) error    { return d.reboot(ctx) }

func (d *daemon) stop() {
	if d.goodbye != nil {
		d.goodbye()
	}
	if d.process != nil {
		d.end(d.quit)
	}
	d.place.rig.sweep(d.place.label, 5*time.Second)
}

// runit: https://smarden.org/runit/
type runit struct{ debian }

func findRunit() supervisor {
	return runit{debian{"runit", "runit", []string{"runsvdir", "runsv", "sv"}}}
}

func (runit) serve(_ context.Context, r *rig, port int) (service, error) {
	p, err := r.newPlace("runit")
	if err != nil {
		return nil, err
	}
	scan, service, err := serviceDir(p, port)
	if err != nil {
		return nil, err
	}
	d := &daemon{place: p, quit: syscall.SIGHUP} // at which it ends the services too
	d.ask = func(context.Context) (int, error) { return pidFile(filepath.Join(service, "supervise", "pid")) }
	d.reboot = func(ctx context.Context) error {
		_, err := p.run(ctx, lookFor("sv"), "-w", "10", "restart", service)
		return err
	}
	d.process, err = p.start(lookFor("runsvdir"), "-P", scan)
	return d, err
}

// s6: https://skarnet.org/software/s6/
type s6 struct{ debian }

func findS6() supervisor {
	return s6{debian{"s6", "s6", []string{"s6-svscan", "s6-supervise", "s6-svstat", "s6-svc"}}}
}

func (s6) serve(_ context.Context, r *rig, port int) (service, error) {
	p, err := r.newPlace("s6")
	if err != nil {
		return nil, err
	}
	scan, service, err := serviceDir(p, port)
	if err != nil {
		return nil, err
	}
	d := &daemon{place: p, quit: syscall.SIGTERM}
	d.ask = func(ctx context.Context) (int, error) {
		out, err := p.run(ctx, lookFor("s6-svstat"), "-o", "pid", service)
		if err != nil {
			return 0, err
		}
		return parsePID(out)
	}
	d.reboot = func(ctx context.Context) error {
		_, err := p.run(ctx, lookFor("s6-svc"), "-wR", "-T", "10000", "-r", service)
		return err
	}
	d.process, err = p.start(lookFor("s6-svscan"), scan)
	return d, err
}

// supervisord: http://supervisord.org/
type supervisord struct{ debian }

func findSupervisord() supervisor {
	return supervisord{debian{"supervisord", "supervisor", []string{"supervisord", "supervisorctl"}}}
}

const supervisordConf = `[supervisord]
nodaemon=true
logfile=%[1]s/supervisord.log
pidfile=%[1]s/supervisord.pid
childlogdir=%[1]s
[unix_http_server]
file=%[1]s/ctl
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%[1]s/ctl
[program:site]
command=%[2]s
autorestart=true
`

func (supervisord) serve(_ context.Context, r *rig, port int) (service, error) {
	p, err := r.newPlace("supervisord")
	if err != nil {
		return nil, err
	}
	conf := p.path("supervisord.conf")
	text := fmt.Sprintf(supervisordConf, p.dir, strings.Join(fileServer(r, port), " "))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	d := &daemon{place: p, quit: syscall.SIGTERM}
	d.ask = func(ctx context.Context) (int, error) {
		out, err := p.run(ctx, lookFor("supervisorctl"), "-c", conf, "pid", "site")
		if err != nil {
			return 0, err
		}
		return parsePID(out)
	}
	d.reboot = func(ctx context.Context) error {
		_, err := p.run(ctx, lookFor("supervisorctl"), "-c", conf, "restart", "site")
		return err
	}
	d.process, err = p.start(lookFor("supervisord"), "-c", conf)
	return d, err
}

// pm2: https://pm2.keymetrics.io/
type pm2 struct{ command string }

// findPM2 takes the one that install-peers.sh made, else one on the path.
func findPM2(peers string) supervisor {
	local, err := filepath.Abs(filepath.Join(peers, "node_modules", ".bin", "pm2"))
	if err == nil {
		if _, err := os.Stat(local); err == nil {
			return pm2{local}
		}
	}
	return pm2{lookFor("pm2")}
}

func (pm2) name() string { return "pm2" }

func (m pm2) missing() string {
	switch {
	case m.command == "":
		return "not there: no pm2"
	case lookFor("node") == "":
		return "not there: no node"
	}
	return ""
}

func (m pm2) version() string {
	real, err := filepath.EvalSymlinks(m.command)
	if err != nil {
		return "version not known"
	}
	var about struct{ Version string }
	text, err := os.ReadFile(filepath.Join(filepath.Dir(real), "..", "package.json"))
	if err != nil || json.Unmarshal(text, &about) != nil || about.Version == "" {
		return "version not known"
	}
	node, _ := exec.Command(lookFor("node"), "--version").Output()
	return about.Version + " on node " + strings.TrimSpace(string(node))
}

func (m pm2) serve(ctx context.Context, r *rig, port int) (service, error) {
	p, err := r.newPlace("pm2", "PM2_DISABLE_VERSION_CHECK=true")
	if err != nil {
		return nil, err
	}
	home := p.path("pm2")
	p.extra = append(p.extra, "PM2_HOME="+home)
	d := &daemon{place: p}
	d.ask = func(context.Context) (int, error) { return pidFile(filepath.Join(home, "pids", "site-0.pid")) }
	d.reboot = func(ctx context.Context) error {
		_, err := p.run(ctx, m.command, "restart", "site")
		return err
	}
	// Its daemon has put itself into the background: only pm2 can end it.
	d.goodbye = func() { p.run(context.Background(), m.command, "kill") }
	command := fileServer(r, port)
	args := append([]string{"start", command[0], "--name", "site", "--interpreter", "none", "--"}, command[1:]...)
	if _, err := p.run(ctx, m.command, args...); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// plainCaddy is the same Caddy with nobody to look after it.
func plainCaddy(r *rig, port int) (*daemon, error) {
	p, err := r.newPlace("caddy")
	if err != nil {
		return nil, err
	}
	d := &daemon{place: p, quit: syscall.SIGTERM}
	command := fileServer(r, port)
	d.process, err = p.start(command[0], command[1:]...)
	return d, err
}

// stockCaddy builds Caddy from this very module, so that it is the version
// that Sharetray is built with.
func stockCaddy(ctx context.Context, r *rig, given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	r.say("building stock Caddy")
	binary := filepath.Join(r.dir, "caddy")
	// The flags are those of the Makefile, so that the compiler treats both alike.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ownPackage()+"/caddy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // which ends its compilers too
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building stock Caddy: %w: %s", err, bytes.TrimSpace(out))
	}
	return binary, nil
}

// ownPackage is the import path of this program.
func ownPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "."
	}
	return strings.TrimSuffix(info.Path, ".test")
}

// ownPeers is the folder that install-peers.sh, which stands beside this file,
// fills.
func ownPeers(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", ownPackage()).Output()
	if err != nil {
		return ".peers"
	}
	return filepath.Join(strings.TrimSpace(string(out)), ".peers")
}

// caddyIn is the version of Caddy that a binary was built with.
func caddyIn(binary string) string {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "version not known"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/caddyserver/caddy/v2" {
			return dep.Version
		}
	}
	return "version not known"
}

// pidFile reads a pid; 0 when the file is not there or empty.
func pidFile(path string) (int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parsePID(string(text))
}

// parsePID reads a pid; nothing, or a negative one, means none.
func parsePID(text string) (int, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("not a pid: %q", text)
	}
	return max(pid, 0), nil
}

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
)

// home is the home of one user, with an agent of its own once one is started.
type home struct {
	t      testing.TB
	dir    string // its folders are home, and run for sockets
	env    []string
	client *control.Client
}

// newHome makes one without a desktop.
func newHome(t testing.TB) *home {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // short, for the sake of sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"home", "run"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "DISPLAY", "WAYLAND_DISPLAY", "LANG", "LC_ALL", "LC_MESSAGES"}, name)
	})
	env = append(env, "HOME="+filepath.Join(dir, "home"), "XDG_RUNTIME_DIR="+filepath.Join(dir, "run"),
		"DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(dir, "no-bus"))
	h := homeIn(t, dir, env)
	t.Cleanup(func() { killLeft("XDG_RUNTIME_DIR="+filepath.Join(dir, "run"), t.Log) })
	t.Cleanup(h.quit)
	return h
}

// homeIn is the home in dir, of a user whose programs have this environment.
func homeIn(t testing.TB, dir string, env []string) *home {
	return &home{t, dir, append(env, "GORACE="+gorace, "SHARETRAY_PROFILE="), clientAt(filepath.Join(dir, "run", "sharetray", "control"))}
}

func (h *home) quit() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = h.client.Quit(ctx) // it may have ended
}

// path is that of a file in the home.
func (h *home) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir, "home"}, parts...)...)
}

// folder makes one in the home, with files whose content is their name.
func (h *home) folder(name string, files ...string) string {
	h.t.Helper()
	dir := h.path(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// types runs a command, and returns what it prints.
func (h *home) types(args ...string) string {
	h.t.Helper()
	cmd := exec.Command("sharetray", args...)
	cmd.Env = h.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("sharetray %v: %v\n%s", args, err, &errs)
	}
	return strings.TrimSpace(string(out))
}

func (h *home) get(name string) agentcore.Status {
	h.t.Helper()
	st, err := h.client.Get(context.Background(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

// kill ends the process of a share, or the agent, as a crash would.
func (h *home) kill(pid int) {
	h.t.Helper()
	if pid < 2 {
		h.t.Fatalf("there is no process %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
}

//go:build !windows && !darwin

package platform

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program puts a shell script of that name alone on the PATH.
func program(t *testing.T, name, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DIR", dir)
	t.Setenv("OLDPATH", os.Getenv("PATH"))
	t.Setenv("PATH", dir)
	return dir
}

func TestOpenURL(t *testing.T) {
	dir := program(t, "xdg-open", `printf '%s|' "$@" >$DIR/args`)
	if err := OpenURL(t.Context(), "http://127.0.0.1:8080/a b;$(reboot)?q='&x"); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(filepath.Join(dir, "args"))
	if want := "http://127.0.0.1:8080/a%20b;$%28reboot%29?q='&x|"; string(got) != want {
		t.Errorf("opened with %q, want %q", got, want)
	}
}

func TestOpenURLRefuses(t *testing.T) {
	dir := program(t, "xdg-open", `>$DIR/called`)
	for _, bad := range []string{
		"", "photos", "file:///etc/passwd", "javascript:alert(1)", "-x", "http://", "http:opaque", "ssh://host/",
		"http://a\n.b/", "http://user:secret@host/", "HTTP:///x", "\x00",
	} {
		if err := OpenURL(t.Context(), bad); err == nil {
			t.Errorf("opened %q", bad)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "called")); err == nil {
		t.Error("the opener was called")
	}
}

func TestOpenURLFailures(t *testing.T) {
	program(t, "xdg-open", "exit 3")
	if err := OpenURL(t.Context(), "http://host/"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("an opener that fails: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := OpenURL(t.Context(), "http://host/"); err == nil || !strings.Contains(err.Error(), "xdg-utils") {
		t.Errorf("no opener: %v", err)
	}
}

func TestOpenURLDoesNotWaitForTheBrowser(t *testing.T) {
	dir := program(t, "xdg-open", "read line <$DIR/fifo")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(filepath.Join(dir, "fifo"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = fifo.WriteString("\n") }) // the browser is closed; the file stays for as long as we run
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := OpenURL(ctx, "http://host/"); err != nil {
		t.Errorf("a browser that runs on: %v", err)
	}
}

func TestCopy(t *testing.T) {
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("DISPLAY", ":9")
	dir := program(t, "xclip", "PATH=$OLDPATH; cat >$DIR/clip")
	if err := Copy(t.Context(), "http://host/"); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "clip")); string(got) != "http://host/" {
		t.Errorf("copied %q", got)
	}
	program(t, "xsel", "exit 1")
	if err := Copy(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "xsel: exit status 1") {
		t.Errorf("a program that fails: %v", err)
	}
	t.Setenv("DISPLAY", "")
	if err := Copy(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "installed") {
		t.Errorf("no desktop: %v", err)
	}
}

//go:build linux

// Package rig is a real desktop for tests: a screen that is only in memory, a message
// bus, Xfce's panel, which shows tray icons, and its notification server. Each test has
// its own, with a home of its own, so that nothing meets the desktop of whoever runs it.
//
// It must not know what is shown there.
package rig

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	patience = 20 * time.Second
	look     = 50 * time.Millisecond // between two looks at what sends no events
	slotSize = 32                    // of the panel, in pixels
	screen   = "1000x760x24"
	mark     = "SHARETRAY_TEST_DESKTOP="
)

// Names on the bus.
const (
	trayHost      = "org.kde.StatusNotifierWatcher"
	notifications = "org.freedesktop.Notifications"
)

// Rig is one desktop.
type Rig struct {
	t     testing.TB
	dir   string
	env   []string
	bus   *dbus.Conn
	panel *exec.Cmd
	logs  string
	xfce  string // where Xfce's helpers are
}

// tools are what a rig is made of, and the Debian packages that have them.
var tools = map[string]string{
	"Xvfb": "xvfb", "xdotool": "xdotool", "import": "imagemagick", "xwininfo": "x11-utils", "dbus-daemon": "dbus-daemon",
	"xfce4-panel": "xfce4-panel", "xfce4-session": "xfce4-session",
}

// New starts a desktop with a panel and a notification server.
func New(t testing.TB) *Rig {
	t.Helper()
	r := begin(t)
	r.startPanel()
	return r
}

// Login starts a desktop by a real login: a session that runs what is to start then.
// prepare is called before with the folder of its configuration.
func Login(t testing.TB, prepare func(config string)) *Rig {
	t.Helper()
	r := begin(t)
	prepare(filepath.Join(r.dir, "config"))
	r.start("xfce4-session", "xfce4-session")
	r.await("the panel of the session", func() bool { return r.owned(trayHost) })
	return r
}

func begin(t testing.TB) *Rig {
	t.Helper()
	r := &Rig{t: t}
	r.find()
	dir, err := os.MkdirTemp("", "rig") // short, for the sake of sockets
	if err != nil {
		t.Fatal(err)
	}
	r.dir, r.logs = dir, filepath.Join(dir, "log")
	t.Cleanup(r.end)
	for _, d := range []string{"log", "run", "home", "data", "cache", "config/autostart", "config/gtk-3.0", "config/xfce4/xfconf/xfce-perchannel-xml"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range configuration {
		if err := os.WriteFile(filepath.Join(dir, "config", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	display := r.startScreen()
	address := "unix:path=" + filepath.Join(dir, "run", "bus")
	r.env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"WAYLAND_DISPLAY", "SESSION_MANAGER", "DBUS_STARTER_ADDRESS", "DBUS_STARTER_BUS_TYPE", "XDG_STATE_HOME"}, name)
	}),
		"DISPLAY="+display, "DBUS_SESSION_BUS_ADDRESS="+address, "HOME="+filepath.Join(dir, "home"),
		"XDG_RUNTIME_DIR="+filepath.Join(dir, "run"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
		"XDG_CURRENT_DESKTOP=XFCE", "XDG_SESSION_TYPE=x11", "NO_AT_BRIDGE=1", "GSETTINGS_BACKEND=memory", "GTK_THEME=Adwaita",
		mark+dir)
	r.start("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", "--address="+address)
	r.await("the message bus", func() bool {
		r.bus, err = dbus.Connect(address)
		return err == nil
	})
	r.start("xfconfd", filepath.Join(r.xfce, "xfconf", "xfconfd"))
	r.await("the configuration of the desktop", func() bool { return r.owned("org.xfce.Xfconf") })
	r.start("xfce4-notifyd", filepath.Join(r.xfce, "notifyd", "xfce4-notifyd"))
	r.await("the notification server", func() bool { return r.owned(notifications) })
	return r
}

// find looks for the tools. Where they must be there, a missing one is an error.
func (r *Rig) find() {
	r.t.Helper()
	var missing []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, pkg)
		}
	}
	found, _ := filepath.Glob("/usr/lib/*/xfce4/notifyd/xfce4-notifyd") // only a bad pattern is an error
	if len(found) == 0 {
		missing = append(missing, "xfce4-notifyd", "xfconf")
	} else {
		r.xfce = filepath.Dir(filepath.Dir(found[0]))
	}
	if len(missing) == 0 {
		return
	}
	slices.Sort(missing)
	what := "a desktop for tests needs the Debian packages " + strings.Join(missing, " ")
	if os.Getenv("CI") == "true" {
		r.t.Fatal(what)
	}
	r.t.Skip(what)
}

// startScreen starts a screen with a number that it chooses itself.
func (r *Rig) startScreen() (display string) {
	r.t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer read.Close()
	cmd := r.command("Xvfb", "-displayfd", "3", "-screen", "0", screen, "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{write}
	r.run("Xvfb", cmd)
	_ = write.Close()
	_ = read.SetReadDeadline(time.Now().Add(patience))
	number, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		r.t.Fatalf("the screen did not start: %v\n%s", err, r.log("Xvfb"))
	}
	return ":" + strings.TrimSpace(number)
}

func (r *Rig) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = r.env
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// start runs a program until the end of the test.
func (r *Rig) start(log, name string, args ...string) *exec.Cmd {
	r.t.Helper()
	return r.run(log, r.command(name, args...))
}

func (r *Rig) run(log string, cmd *exec.Cmd) *exec.Cmd {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.logs, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its group; it may be gone
		_ = cmd.Wait()
	})
	return cmd
}

func (r *Rig) log(name string) string {
	b, _ := os.ReadFile(filepath.Join(r.logs, name)) // for a message only
	return string(b)
}

// end ends what the desktop's programs have started themselves, which carries the
// mark of this desktop.
func (r *Rig) end() {
	if r.bus != nil {
		_ = r.bus.Close()
	}
	if r.t.Failed() {
		for _, name := range []string{"xfce4-panel", "xfce4-session", "xfce4-notifyd"} {
			if text := r.log(name); text != "" {
				r.t.Logf("%s:\n%s", name, text)
			}
		}
	}
	for range 100 {
		left := r.marked()
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
		time.Sleep(look)
	}
	_ = os.RemoveAll(r.dir)
}

// marked are the processes with this desktop's mark in their environment.
func (r *Rig) marked() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // only a bad pattern is an error
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == mark+r.dir }) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Env is the environment of a program on this desktop.
func (r *Rig) Env() []string { return slices.Clone(r.env) }

// Dir is the folder in which all of this desktop is: home, config, run …
func (r *Rig) Dir() string { return r.dir }

// Command is a program on this desktop.
func (r *Rig) Command(name string, args ...string) *exec.Cmd { return r.command(name, args...) }

func (r *Rig) await(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(look) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s; on the screen are:\n%s", what, strings.Join(r.windows(), "\n"))
		}
	}
}

func (r *Rig) owned(name string) (owned bool) {
	_ = r.bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned) // false if it can't be had
	return owned
}

// icons is how many icons are registered with the tray.
func (r *Rig) icons() int {
	v, err := r.bus.Object(trayHost, "/StatusNotifierWatcher").GetProperty(trayHost + ".RegisteredStatusNotifierItems")
	if err != nil {
		return 0
	}
	items, _ := v.Value().([]string)
	return len(items)
}

func (r *Rig) startPanel() {
	r.t.Helper()
	r.panel = r.start("xfce4-panel", "xfce4-panel", "--disable-wm-check")
	r.await("the panel", func() bool { return r.owned(trayHost) })
}

// RestartPanel kills the panel and starts another one.
func (r *Rig) RestartPanel() {
	r.t.Helper()
	// The watcher may live in a process of the panel's plugins.
	if err := syscall.Kill(-r.panel.Process.Pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	_ = r.panel.Wait() // it was killed
	r.await("the end of the panel", func() bool { return !r.owned(trayHost) })
	r.startPanel()
}

// AwaitIcon waits until an icon is in the tray.
func (r *Rig) AwaitIcon() {
	r.t.Helper()
	r.await("an icon in the tray", func() bool { return r.icons() > 0 })
}

// HasIcon reports whether an icon is in the tray.
func (r *Rig) HasIcon() bool { return r.icons() > 0 }

// OpenMenu clicks the icon with a real mouse, and waits until its menu is there.
func (r *Rig) OpenMenu() {
	r.t.Helper()
	r.AwaitIcon()
	next := time.Now()
	r.await("the menu of the icon", func() bool {
		if r.menuIsOpen() {
			return true
		}
		if time.Now().After(next) { // the icon is drawn some time after it is registered
			r.xdotool("mousemove", strconv.Itoa(slotSize/2), strconv.Itoa(slotSize/2), "click", "1")
			next = time.Now().Add(2 * time.Second)
		}
		return false
	})
}

// menuIsOpen: a menu is a window of the panel's plugin that no window manager places.
func (r *Rig) menuIsOpen() bool {
	return slices.ContainsFunc(r.windows(), func(w string) bool {
		return strings.HasPrefix(w, "wrapper-2.0 ") && strings.HasSuffix(w, " override=yes")
	})
}

// Keys presses keys, named as xdotool names them, one after another.
func (r *Rig) Keys(keys ...string) {
	r.t.Helper()
	r.xdotool(append([]string{"key", "--delay", "150"}, keys...)...)
}

// Click clicks at a point of the screen.
func (r *Rig) Click(x, y int) {
	r.t.Helper()
	r.xdotool("mousemove", strconv.Itoa(x), strconv.Itoa(y), "click", "1")
}

func (r *Rig) xdotool(args ...string) string {
	r.t.Helper()
	out, err := r.command("xdotool", args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("xdotool %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Popup waits until a notification is on the screen, and returns its place.
func (r *Rig) Popup() (x, y, width, height int) {
	r.t.Helper()
	r.await("a notification", func() bool {
		for _, w := range r.windows() {
			if _, err := fmt.Sscanf(w, "xfce4-notifyd %dx%d+%d+%d", &width, &height, &x, &y); err == nil && width > 10 {
				return true
			}
		}
		return false
	})
	return x, y, width, height
}

var windowFact = regexp.MustCompile(`(?m)^\s*(Absolute upper-left X|Absolute upper-left Y|Width|Height|Override Redirect State): +(\S+)`)

// windows lists what is on the screen: "class WxH+X+Y override=yes".
func (r *Rig) windows() (all []string) {
	out, err := r.command("xdotool", "search", "--onlyvisible", "--class", ".").Output()
	var none *exec.ExitError
	if err != nil && !errors.As(err, &none) {
		return nil
	}
	for id := range strings.FieldsSeq(string(out)) {
		info, err := r.command("xwininfo", "-id", id).Output()
		if err != nil {
			continue // it is gone
		}
		f := map[string]string{}
		for _, m := range windowFact.FindAllStringSubmatch(string(info), -1) {
			f[m[1]] = m[2]
		}
		_, name, _ := strings.Cut(string(info), `"`)
		name, _, _ = strings.Cut(name, `"`)
		all = append(all, fmt.Sprintf("%s %sx%s+%s+%s override=%s", cmp.Or(name, "?"), f["Width"], f["Height"],
			f["Absolute upper-left X"], f["Absolute upper-left Y"], f["Override Redirect State"]))
	}
	return all
}

// Screenshot saves a part of the screen, "WIDTHxHEIGHT+X+Y", as a PNG.
func (r *Rig) Screenshot(path, part string) {
	r.t.Helper()
	if out, err := r.command("import", "-silent", "-window", "root", "-crop", part, "+repage", path).CombinedOutput(); err != nil {
		r.t.Fatalf("take a screenshot: %v\n%s", err, out)
	}
}

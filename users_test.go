package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sharetray/platform"
)

// stranger is a command of the test binary: it tries what it can do with each
// path, and says what came of it.
func stranger() {
	for _, path := range os.Args[1:] {
		fmt.Println(path, attempt(path))
	}
}

func attempt(path string) string {
	c, err := net.DialTimeout("unix", path, patience)
	if err == nil {
		defer c.Close()
		// Who is let in is waited for; who is not reads the end.
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, "GET /v1/agent HTTP/1.0\r\n\r\n")
		if answer, _ := io.ReadAll(c); len(answer) > 0 {
			return "let in"
		}
		return "turned away"
	}
	if _, err := os.ReadDir(path); err == nil {
		return "listed"
	}
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		f.Close()
		return "opened"
	}
	if f, err := os.Open(path); err == nil {
		f.Close()
		return "opened"
	}
	if err := os.Remove(path); err == nil {
		return "removed"
	}
	return "nothing"
}

// computer is one on which several users work, with or without a login manager
// that makes a runtime folder for each.
type computer struct {
	t     *testing.T
	dir   string
	exe   string
	login bool
}

// user is one of them.
type user struct {
	*computer
	uid  int
	home string
	run  string // the folder that a login manager made
}

// The numbers of users that no system gives to anybody by itself.
const annUID, bobUID, eveUID = 61001, 61002, 61003

func newComputer(t *testing.T, login bool) *computer {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &computer{t: t, dir: dir, exe: filepath.Join(dir, "sharetray"), login: login}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.copy(exe, c.exe)
	if err := os.Symlink("sharetray", filepath.Join(dir, "stranger")); err != nil {
		t.Fatal(err)
	}
	c.folder(dir, 0o755, os.Getuid())
	c.folder(filepath.Join(dir, "tmp"), 0o777|fs.ModeSticky, os.Getuid())
	t.Cleanup(func() { killLeft("TMPDIR="+filepath.Join(dir, "tmp"), t.Log) })
	return c
}

func (c *computer) copy(from, to string) {
	c.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// folder makes a folder of a user with exactly this mode.
func (c *computer) folder(path string, mode fs.FileMode, uid int) {
	c.t.Helper()
	err := os.MkdirAll(path, 0o755)
	if err == nil && uid != os.Getuid() {
		err = os.Chown(path, uid, uid)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// user makes a user, whose home everybody may look into, as on many systems,
// with a folder to share that says who it is of.
func (c *computer) user(uid int) *user {
	c.t.Helper()
	u := &user{computer: c, uid: uid, home: filepath.Join(c.dir, "home", strconv.Itoa(uid))}
	c.folder(u.home, 0o755, uid)
	c.folder(filepath.Join(u.home, "photos"), 0o755, uid)
	if err := os.WriteFile(filepath.Join(u.home, "photos", "a.txt"), []byte(strconv.Itoa(uid)), 0o644); err != nil {
		c.t.Fatal(err)
	}
	if c.login {
		u.run = filepath.Join(c.dir, "run", strconv.Itoa(uid))
		c.folder(u.run, 0o700, uid)
	}
	c.t.Cleanup(func() { u.try("sharetray", "quit") })
	return u
}

// try runs a command as the user and returns what came of it.
func (u *user) try(name string, args ...string) (code int, out, errs string) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	args = append([]string{filepath.Join(u.dir, name)}, args...)
	if uid := strconv.Itoa(u.uid); u.uid != os.Getuid() {
		args = append([]string{"setpriv", "--reuid=" + uid, "--regid=" + uid, "--clear-groups"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = u.home
	cmd.Env = []string{"HOME=" + u.home, "TMPDIR=" + filepath.Join(u.dir, "tmp"), "XDG_RUNTIME_DIR=" + u.run,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(u.dir, "no-bus"), "PATH=" + os.Getenv("PATH"), "GORACE=" + gorace}
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); cmd.ProcessState == nil {
		u.t.Fatalf("as user %d: %v", u.uid, err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// browse asks for a page and returns the status.
func (u *user) browse(address string) string {
	u.t.Helper()
	uid := strconv.Itoa(u.uid)
	out, err := exec.Command("setpriv", "--reuid="+uid, "--regid="+uid, "--clear-groups",
		"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", address).CombinedOutput()
	if err != nil {
		u.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// must runs the program and wants it to succeed.
func (u *user) must(args ...string) string {
	u.t.Helper()
	code, out, errs := u.try("sharetray", args...)
	if code != 0 {
		u.t.Fatalf("user %d: sharetray %s: exit code %d\n%s%s", u.uid, strings.Join(args, " "), code, out, errs)
	}
	return out
}

// runtime is the user's runtime folder.
func (u *user) runtime() string {
	u.t.Helper()
	dir := filepath.Join(u.run, "sharetray")
	if u.run == "" {
		found, err := filepath.Glob(filepath.Join(u.dir, "tmp", "sharetray-"+strconv.Itoa(u.uid), "*"))
		if err != nil || len(found) != 1 {
			u.t.Fatalf("user %d has runtime folders %q, %v", u.uid, found, err)
		}
		dir = found[0]
	}
	return dir
}

// belongings are all files and folders of the user's agent.
func (u *user) belongings() (all []string) {
	u.t.Helper()
	for _, root := range []string{filepath.Join(u.home, ".config", "sharetray"), filepath.Join(u.home, ".local", "state", "sharetray"), u.runtime()} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		})
		if err != nil {
			u.t.Fatal(err)
		}
	}
	return all
}

// serves wants the link to be that of the user's own folder.
func (u *user) serves(url string) {
	u.t.Helper()
	if got, err := fetch(strings.TrimSpace(url) + "a.txt"); err != nil || got != "200\n"+strconv.Itoa(u.uid) {
		u.t.Errorf("%s of user %d says %q, %v", url, u.uid, got, err)
	}
}

// TestUsers: users of one computer neither see, reach nor disturb each other's
// agents, even where all of them call their shares the same.
func TestUsers(t *testing.T) {
	t.Parallel()
	for name, login := range map[string]bool{"with a login manager": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newComputer(t, login)
			if os.Geteuid() != 0 {
				closedToOthers(t, c.user(os.Getuid()))
				t.Skip("becoming several users takes root: only who may enter was checked")
			}
			apart(t, c.user(annUID), c.user(bobUID))
		})
	}
}

// closedToOthers checks that nothing of the user's agent can be entered by
// anybody else, which takes only the user.
func closedToOthers(t *testing.T, u *user) {
	t.Helper()
	u.serves(u.must("share", "web", "photos"))
	defer u.must("quit")
	open := map[string]bool{}
	for _, path := range u.belongings() {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		open[path] = fi.Mode().Perm()&0o077 != 0
		if open[path] && (fi.IsDir() || !closedAbove(path)) {
			t.Errorf("others may enter %s: %v", path, fi.Mode())
		}
	}
	if len(open) < 10 {
		t.Errorf("hardly anything was looked at: %v", open)
	}
}

func closedAbove(path string) bool {
	fi, err := os.Stat(filepath.Dir(path))
	return err == nil && fi.Mode().Perm()&0o077 == 0
}

func apart(t *testing.T, ann, bob *user) {
	t.Helper()
	annLink := ann.must("share", "web", "photos")
	bobLink := bob.must("share", "web", "photos")
	if annLink == bobLink {
		t.Errorf("both have %s", annLink)
	}
	ann.serves(annLink)
	bob.serves(bobLink)
	for _, u := range []*user{ann, bob} {
		if list := u.must("list"); strings.Count(list, "\n") != 2 || !strings.Contains(list, filepath.Join(u.home, "photos")) {
			t.Errorf("user %d sees\n%s", u.uid, list)
		}
	}
	closedToOthersNow := func() {
		t.Helper()
		all := ann.belongings()
		_, out, _ := bob.try("stranger", all...)
		if strings.Count(out, " nothing\n") != len(all) || len(all) < 10 {
			t.Errorf("of %d things, this came of what bob tried:\n%s", len(all), out)
		}
	}
	closedToOthersNow()

	// With the door open, the agent still asks who is calling.
	control := filepath.Join(ann.runtime(), "control")
	for path, mode := range map[string]fs.FileMode{control: 0o666, ann.runtime(): 0o777, filepath.Dir(ann.runtime()): 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if _, out, _ := bob.try("stranger", control); out != control+" turned away\n" {
		t.Errorf("bob: %s", out)
	}
	if _, out, _ := ann.try("stranger", control); out != control+" let in\n" {
		t.Errorf("ann: %s", out)
	}
	if err := os.Chmod(control, 0o600); err != nil {
		t.Fatal(err)
	}
	if ann.login { // that folder is the login manager's to close
		if err := os.Chmod(ann.run, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ann.must("list") // which closes the door again
	closedToOthersNow()

	// Nor is bob let in to ann's dashboard, not even with an address that is good; he
	// does not use it up either.
	page := strings.TrimSpace(ann.must("dashboard", "--print"))
	for _, c := range []struct {
		u    *user
		want string
	}{{bob, "403"}, {ann, "303"}} {
		if got := c.u.browse(page); got != c.want {
			t.Errorf("the dashboard says %s to user %d, and should say %s", got, c.u.uid, c.want)
		}
	}

	// Bob's client is not led to ann's agent, and what he ends is his own.
	if lost := *bob; lost.login {
		lost.run = ann.run
		if code, out, errs := lost.try("sharetray", "list"); code != 4 || out != "" {
			t.Errorf("bob, in ann's runtime folder: %d %q %q", code, out, errs)
		}
	}
	bob.must("stop", "photos")
	bob.must("remove", "photos")
	bob.must("quit")
	ann.serves(annLink)
	if list := ann.must("list"); !strings.Contains(list, "ready") {
		t.Errorf("ann sees\n%s", list)
	}
	ann.must("quit")
}

// TestPlantedByAnotherUser: where the runtime folder of a user who comes later
// would be, another one can plant something, but not take over.
func TestPlantedByAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("becoming several users takes root; TestPlantedRuntimeFolder does what one user can")
	}
	for what, plant := range map[string]func(path string, eve *user) error{
		"an open folder": func(path string, eve *user) error { eve.folder(path, 0o777, eve.uid); return nil },
		"a link to eve's folder": func(path string, eve *user) error {
			eve.folder(filepath.Join(eve.home, "trap"), 0o777, eve.uid)
			return os.Symlink(filepath.Join(eve.home, "trap"), path)
		},
		"a link to ann's folder": func(path string, eve *user) error {
			return os.Symlink(filepath.Join(eve.dir, "home", strconv.Itoa(annUID)), path)
		},
		"a file": func(path string, eve *user) error { return os.WriteFile(path, nil, 0o666) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := newComputer(t, false)
			ann, eve := c.user(annUID), c.user(eveUID)
			planted := filepath.Join(c.dir, "tmp", "sharetray-"+strconv.Itoa(annUID))
			if err := plant(planted, eve); err != nil {
				t.Fatal(err)
			}
			if err := os.Lchown(planted, eveUID, eveUID); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"share", "web", "photos"}, {"agent", "--no-tray"}, {"list"}} {
				code, out, errs := ann.try("sharetray", args...)
				if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, planted) || !strings.Contains(errs, "set XDG_RUNTIME_DIR to a folder that is yours alone") {
					t.Errorf("%q: %d %q %q", args, code, out, errs)
				}
			}
			if left, err := filepath.Glob(filepath.Join(planted, "*", "control")); err != nil || left != nil {
				t.Errorf("there is %q in it, %v", left, err)
			}
			if _, err := os.Stat(filepath.Join(ann.home, ".config")); err == nil {
				t.Error("something was begun")
			}
			// What the sentence advises helps.
			ann.run = filepath.Join(ann.home, "run")
			c.folder(ann.run, 0o700, ann.uid)
			ann.serves(ann.must("share", "web", "photos"))
			ann.must("quit")
			if _, err := platform.DialControl(t.Context(), filepath.Join(ann.run, "sharetray", "control")); !platform.IsNobodyThere(err) {
				t.Errorf("after quit: %v", err)
			}
		})
	}
}

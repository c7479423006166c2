package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackage: what a package brings is there, can be read by everybody, and works.
func TestPackage(t *testing.T) { // not beside others, which its load would disturb
	for _, tool := range []string{"dpkg-deb", "desktop-file-validate"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	program, err := exec.LookPath("sharetray")
	if err != nil {
		t.Fatal(err)
	}
	dist, root := t.TempDir(), t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	run("packaging/build.sh", program, "v1.2.3", dist, "deb", "rpm")
	packages, err := filepath.Glob(filepath.Join(dist, "*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatal(packages, err)
	}
	if rpms, _ := filepath.Glob(filepath.Join(dist, "*.rpm")); len(rpms) != 1 {
		t.Errorf("%v", rpms)
	}
	if got := run("dpkg-deb", "-f", packages[0], "Package", "Version"); got != "Package: sharetray\nVersion: 1.2.3\n" {
		t.Error(got)
	}
	if list := run("dpkg-deb", "-c", packages[0]); !strings.Contains(list, "-rwxr-xr-x root/root") || strings.Contains(list, "rw-r-----") {
		t.Error(list)
	}
	run("dpkg-deb", "-x", packages[0], root)
	for path, want := range map[string]string{
		"usr/share/bash-completion/completions/sharetray":     "sharetray",
		"usr/share/zsh/vendor-completions/_sharetray":         "#compdef sharetray",
		"usr/share/fish/vendor_completions.d/sharetray.fish":  "complete -c sharetray",
		"usr/share/icons/hicolor/scalable/apps/sharetray.svg": "<svg",
		"usr/share/doc/sharetray/copyright":                   "Apache License",
	} {
		if text, err := os.ReadFile(filepath.Join(root, path)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %.40q, %v", path, text, err)
		}
	}
	entry := filepath.Join(root, "usr/share/applications/sharetray.desktop")
	if out := run("desktop-file-validate", entry); out != "" {
		t.Error(out)
	}
	if got := run(filepath.Join(root, "usr/bin/sharetray"), "version"); !strings.HasPrefix(got, "sharetray ") {
		t.Error(got)
	}
	run("packaging/build.sh", program, "5b15f3a-dirty", dist, "deb") // what is no release is one of 0.0.0
	if packages, _ := filepath.Glob(filepath.Join(dist, "*0.0.0*.deb")); len(packages) != 1 {
		t.Errorf("%v", packages)
	}
}

package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath, Dir      string
	GoFiles              []string
	Imports, TestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestDependenciesPointDown keeps the floors apart: who may import whom.
func TestDependenciesPointDown(t *testing.T) {
	t.Parallel()
	under := func(path string, places ...string) bool {
		for _, place := range places {
			if p := "sharetray/" + place; path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
		return false
	}
	rules := []struct {
		what string
		bad  func(from, to string) bool
	}{
		{"platform uses nothing of ours", func(from, to string) bool {
			return under(from, "platform") && under(to, "agentcore", "tray", "assets")
		}},
		{"assets use nothing of ours", func(from, to string) bool {
			return under(from, "assets") && strings.HasPrefix(to, "sharetray/")
		}},
		{"only the tray and main know the system tray", func(from, to string) bool {
			return to == "fyne.io/systray" && !under(from, "tray")
		}},
		{"nothing below knows the tray, the dashboard, the command line or the API", func(from, to string) bool {
			return under(to, "tray", "agentcore/cli") && from != "sharetray" ||
				under(to, "agentcore/dashboard", "assets/dashboard") && from != "sharetray" && !under(from, "agentcore/dashboard") ||
				under(to, "agentcore/control") && from != "sharetray" && !under(from, "agentcore/cli", "agentcore/control")
		}},
		{"only the share process names Caddy", func(from, to string) bool {
			return strings.HasPrefix(to, "github.com/caddyserver/") && !under(from, "agentcore/process", "agentcore/bench/caddy")
		}},
		{"what a share is stays pure", func(from, to string) bool {
			return under(from, "agentcore/share") && strings.HasPrefix(to, "sharetray/") && !under(to, "agentcore/share", "agentcore/problem")
		}},
		{"texts know nothing of what they are for", func(from, to string) bool {
			return under(from, "agentcore/words") && strings.HasPrefix(to, "sharetray/")
		}},
		{"the rig of a desktop knows nothing of what it shows, and is for tests", func(from, to string) bool {
			return under(from, "tray/rig") && strings.HasPrefix(to, "sharetray/") || under(to, "tray/rig")
		}},
		{"the numbers of a life know nothing of it", func(from, to string) bool {
			return under(from, "agentcore/policy") && strings.HasPrefix(to, "sharetray/")
		}},
		{"a supervisor does not know the set it is in", func(from, to string) bool {
			return under(from, "agentcore/supervise", "agentcore/link", "agentcore/process", "agentcore/store", "agentcore/share") && to == "sharetray/agentcore"
		}},
		{"only main knows the share process", func(from, to string) bool {
			return under(to, "agentcore/process") && from != "sharetray" && !under(from, "agentcore/process")
		}},
	}
	for _, p := range packages(t) {
		for _, to := range p.Imports {
			for _, r := range rules {
				if r.bad(p.ImportPath, to) && !under(to, strings.TrimPrefix(p.ImportPath, "sharetray/")) {
					t.Errorf("%s imports %s, but %s", p.ImportPath, to, r.what)
				}
			}
		}
	}
}

// TestPackagesSayWhatTheyAreFor: a comment on each package, in one place.
func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		comments := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				comments++
			}
		}
		if comments != 1 {
			t.Errorf("%s has %d package comments, want 1", p.ImportPath, comments)
		}
	}
}

// TestReadmeIsRun: what README says to type about kinds is what a script runs.
func TestReadmeIsRun(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("agentcore/cli/testdata/script/kinds.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## Everything worth sharing")
	section, _, _ = strings.Cut(section, "\n## ")
	lines := 0
	for line := range strings.SplitSeq(section, "\n") {
		if command, ok := strings.CutPrefix(line, "    sharetray "); ok {
			lines++
			if !strings.Contains(string(script), "exec sh -c 'sharetray "+command+"'\n") {
				t.Errorf("no script runs: sharetray %s", command)
			}
		}
	}
	if lines < 15 {
		t.Errorf("README shows %d commands", lines)
	}
}

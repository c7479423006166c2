package dav

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLitmus has the standard suite of tests for WebDAV servers look at a
// drive: no failure, no warning, nothing skipped.
func TestLitmus(t *testing.T) {
	t.Parallel()
	litmus := tool(t, "litmus", "litmus")
	for name, tc := range map[string]struct {
		prefix string
		memory bool
	}{
		"attributes": {},
		"memory":     {memory: true},
		"prefix":     {prefix: "/s/secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDrive(t, Options{Writable: true, Prefix: func(*http.Request) string { return tc.prefix }})
			d.h.props.noAttrib = tc.memory
			out, err := run(t, "", litmus, "--keep-going", d.URL+tc.prefix+"/")
			if err != nil || strings.Contains(out, "FAIL") || strings.Contains(out, "WARNING") || strings.Contains(out, "SKIPPED") {
				t.Errorf("%v\n%s", err, out)
			}
			if n := len(regexp.MustCompile(`0 failed`).FindAllString(out, -1)); n != 5 {
				t.Errorf("%d suites passed, want basic, copymove, props, locks and http:\n%s", n, out)
			}
			d.tidy()
		})
	}
}

var _, _ = os.Getpid, filepath.Join

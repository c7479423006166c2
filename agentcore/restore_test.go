package agentcore_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
)

// TestDiscardAndRestore: a share that was removed comes back as it was, with its log
// and what had happened to it.
func TestDiscardAndRestore(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := r.Add(ctx, agentcore.NewShare{Name: "Photos", Kind: "web", Target: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(st.File)
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte("# mine\n"), text...)
	if err := os.WriteFile(st.File, text, 0o600); err != nil {
		t.Fatal(err)
	}
	past, err := r.History("Photos", 100)
	if err != nil || len(past) == 0 {
		t.Fatal(past, err)
	}
	gone, err := r.Discard(ctx, "photos") // case does not count
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get("Photos"); !problem.Is(err, problem.NotFound) {
		t.Errorf("it is there: %v", err)
	}
	if _, err := os.Stat(st.File); err == nil {
		t.Error("its file is there")
	}
	back, err := r.Restore(ctx, gone)
	if err != nil || back.URLs[0] != st.URLs[0] {
		t.Fatalf("%+v, %v", back, err)
	}
	if now, err := os.ReadFile(st.File); err != nil || string(now) != string(text) {
		t.Errorf("its file is\n%s\n(%v), and was\n%s", now, err, text)
	}
	if now, err := r.History("Photos", 100); err != nil || len(now) <= len(past) || now[0].What != history.Started || !now[0].Time.Equal(past[0].Time) {
		t.Errorf("%+v, %v", now, err)
	}
	log, err := os.ReadFile(filepath.Join(r.paths.Logs, "Photos", "log"))
	if err != nil || strings.Count(string(log), "serving") < 2 {
		t.Errorf("%s, %v", log, err)
	}
	if _, err := r.Restore(ctx, gone); !problem.Is(err, problem.Exists) {
		t.Errorf("restored twice: %v", err)
	}
	if _, err := r.Discard(ctx, "nobody"); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := r.Declared("Photos"); err != nil {
		t.Error(err)
	}
}

func TestSetSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t, "# mine\nstandby = 1\n")
	if err := r.SetSettings(map[string]string{"notifications": "false", "language": "zh-CN"}); err != nil {
		t.Fatal(err)
	}
	if s := r.Settings(); s.Notifications || s.Standby != 1 || r.Language().Tag != "zh-CN" {
		t.Errorf("%+v", s)
	}
	if text, err := os.ReadFile(r.paths.Settings); err != nil || !strings.HasPrefix(string(text), "notifications = false\nlanguage = \"zh-CN\"\n# mine\n") {
		t.Errorf("%s, %v", text, err)
	}
	if err := r.SetSettings(map[string]string{"standby": "99"}); !problem.Is(err, problem.Invalid) || r.Settings().Standby != 1 {
		t.Errorf("%v", err)
	}
}

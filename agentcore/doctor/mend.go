package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sharetray/agentcore/logfile"
	"sharetray/agentcore/rundir"
	"sharetray/platform"
)

// endTime is how long a process that nobody wants is waited for.
const endTime = 10 * time.Second

// Mend mends what can be mended, and returns the findings as they are then.
// Before it removes anything, it looks again what that is.
func Mend(ctx context.Context, findings []Finding) []Finding {
	mended := make([]Finding, len(findings))
	for i, f := range findings {
		if f.remedy.act != "" {
			done, err := f.remedy.apply(ctx)
			if f.State = Mended; err != nil {
				f.State, done = Problem, "it can't be mended: "+err.Error()
			}
			f.Sentence += ": " + done
			f.remedy = remedy{}
		}
		mended[i] = f
	}
	return mended
}

// Advise says of each finding that Mend would mend how to have it mended.
func Advise(findings []Finding) []Finding {
	told := make([]Finding, len(findings))
	for i, f := range findings {
		if f.remedy.act != "" {
			f.Sentence += ": `sharetray doctor` mends it"
		}
		told[i] = f
	}
	return told
}

// apply does it, and says what was done.
func (r remedy) apply(ctx context.Context) (done string, err error) {
	switch r.act {
	case remove:
		return "removed", removeOwn(r.path, 0)
	case empty:
		return "removed", removeLogs(r.path)
	case forget:
		return "removed", r.process.forget()
	case vacate:
		err := rundir.Vacate(r.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // others have
		}
		return "removed", err
	case end:
		ctx, cancel := context.WithTimeout(ctx, endTime)
		defer cancel()
		if r.process.Found.End(ctx) {
			return "ended", nil
		}
		return "asked to end; it finishes what is in flight first", nil
	}
	return "", fmt.Errorf("nobody knows how to %s", r.act)
}

// removeOwn removes what is at path, if it is this user's own, and of that type.
func removeOwn(path string, want fs.FileMode) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if odd := oddity(info, want); odd != "" {
		return fmt.Errorf("%s %s", path, odd)
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeLogs removes a share's folder of logs, if there is nothing else in it.
func removeLogs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !logfile.IsName(e.Name()) {
			return fmt.Errorf("%s is no log", filepath.Join(dir, e.Name()))
		}
	}
	for _, e := range entries {
		if err := removeOwn(filepath.Join(dir, e.Name()), 0); err != nil {
			return err
		}
	}
	return removeOwn(dir, fs.ModeDir)
}

// forget removes what a process that has ended has left.
func (p Process) forget() error {
	if c, err := platform.DialControl(context.Background(), p.Link); err == nil {
		_ = c.Close()
		return fmt.Errorf("somebody listens at %s by now", p.Link)
	}
	var errs []error
	for i, path := range traces(p.Candidate) {
		want := fs.ModeSocket
		if i == 2 {
			want = 0
		}
		errs = append(errs, removeOwn(path, want))
	}
	return errors.Join(errs...)
}

package agentcore

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
)

// CheckTarget says why a target can't be shared now. An app that is down is no
// reason: it may come up, and visitors see a page that waits for it.
func CheckTarget(kind share.Kind, target string) error {
	if kind != share.Web {
		return nil
	}
	f, err := os.Open(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Conflict, "there is no folder %s: check the spelling", target)
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Conflict, "the folder %s can't be read: give yourself the right to read it", target)
	case err != nil:
		return problem.New(problem.Conflict, "the folder %s can't be opened: %w", target, err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && !fi.IsDir() {
		return problem.New(problem.Conflict, "%s is a file, not a folder: share the folder that it is in", target)
	}
	if _, err := f.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return problem.New(problem.Conflict, "the folder %s can't be read: %w", target, err)
	}
	return nil
}

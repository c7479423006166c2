//go:build !linux && !freebsd && !openbsd && !netbsd && !windows && !(darwin && cgo)

package tray

import (
	"context"

	"sharetray/agentcore/problem"
)

func (l *loop) show(context.Context) error {
	return problem.New(problem.Unsupported, "this build has no tray icon (on macOS it takes cgo: build with CGO_ENABLED=1); run `sharetray agent --no-tray`")
}

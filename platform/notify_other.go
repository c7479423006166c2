//go:build !linux && !freebsd && !netbsd && !openbsd

package platform

import (
	"context"
	"fmt"

	"github.com/gen2brain/beeep"
)

// notify can't be stopped by ctx here: the systems' ways offer no deadline, and
// no buttons either.
func notify(_ context.Context, n Note) error {
	beeep.AppName = "Sharetray"
	return beeep.Notify(inert(n.Title), inert(n.Body), n.Icon)
}

// closeNote can't: nothing names a note that is shown.
func closeNote(context.Context, string) error {
	return fmt.Errorf("%w: it goes by itself", ErrUnsupported)
}

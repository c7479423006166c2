//go:build !linux && !freebsd && !netbsd && !openbsd

package platform

import (
	"context"

	"github.com/gen2brain/beeep"
)

// notify can't be stopped by ctx here: the systems' ways offer no deadline.
func notify(_ context.Context, n Note) error {
	beeep.AppName = "Sharetray"
	return beeep.Notify(inert(n.Title), inert(n.Body), n.Icon)
}

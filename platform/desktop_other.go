//go:build !linux && !freebsd && !netbsd && !openbsd

package platform

import "context"

// FindDesktop looks what the desktop has. Here it has all, and nothing is asked.
func FindDesktop(context.Context) (d Desktop, ok bool) { return Desktop{}, false }

//go:build !linux

package platform

import "net"

// claimListener does nothing here: nobody asks who listens.
func claimListener(int) {}

// Listens reports whether process pid may be who listens at the other end of c.
// This system does not say.
func Listens(int, net.Conn) bool { return true }

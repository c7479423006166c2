//go:build unix

package platform

import "syscall"

// OpenNoWait is the flag with which opening a file never waits: a named pipe
// without a writer would make it wait for ever. It changes nothing for files.
const OpenNoWait = syscall.O_NONBLOCK

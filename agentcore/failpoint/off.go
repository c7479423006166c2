//go:build !failpoints || !unix

package failpoint

import "time"

// Enabled is set in programs that are built for tests.
const Enabled = false

// Here is the step called name. Its error is the one that a test wants.
func Here(string) error { return nil }

// Time is how long something may take that is called name: d, unless a test says
// otherwise.
func Time(_ string, d time.Duration) time.Duration { return d }

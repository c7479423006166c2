package platform

import "context"

// ScopeLimits are limits of a control group. 0 is none.
type ScopeLimits struct {
	Memory int64 // bytes
	CPU    int   // thousandths of a processor
	Tasks  int   // processes and threads
}

// EnterScope moves this process into a control group of its own with the limits
// in want, and returns those that the system enforces from then on, which may be
// fewer. The name must be unique among this user's; the description is for
// people. Where the system has no such thing, the error is ErrUnsupported.
func EnterScope(ctx context.Context, name, description string, want ScopeLimits) (ScopeLimits, error) {
	return enterScope(ctx, name, description, want)
}

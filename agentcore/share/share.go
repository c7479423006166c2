// Package share says what a share is: its name, kind, target and rules, which
// values are allowed, and which are assumed. It is pure: it must not read the
// disk, open sockets or know about processes.
package share

import (
	"fmt"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share/schema"
)

// Kind is what serves a share.
type Kind string

const (
	Web   Kind = "web"   // a folder, as web pages and listings
	Proxy Kind = "proxy" // a web app that already listens somewhere
)

// Reach is from where a share can be reached.
type Reach string

const (
	Local Reach = "local" // from this computer only
	LAN   Reach = "lan"   // from the networks this computer is on
)

// Bytes is an amount of memory or of what is transferred.
type Bytes int64

// String is as a file has it: 256MiB.
func (b Bytes) String() string { return schema.FormatSize(int64(b)) }

// Processors is a number of processors, in thousandths of one.
type Processors int

// String is as a file has it: 0.5.
func (p Processors) String() string { return schema.FormatThousandths(int(p)) }

// Share is what a user declares. The zero value is not valid; Defaults fills in
// what was left out and Validate says what is wrong with the rest. Shares are
// compared with ==.
type Share struct {
	Name   Name
	Kind   Kind
	Target string // folder (absolute, clean) for Web; URL with scheme and host for Proxy
	Port   uint16 // 0: not assigned yet; once assigned it is kept for life
	Reach  Reach
	Paused bool // the user stopped it: it stays stopped over logins
	Notify bool // desktop notifications for this share

	// StopGrace bounds how long a stop waits for requests in flight.
	StopGrace time.Duration

	// Limits; 0 is none.
	Memory      Bytes      // of the process that serves
	CPU         Processors // that it may keep busy
	OpenFiles   int        // files and connections that it may have open
	Processes   int        // processes and threads, with what it starts
	Connections int        // of visitors, at the same time
	Bandwidth   Bytes      // in a second: sent to all visitors together, and as many taken from them

	// For Web.
	HiddenFiles bool // serve names that begin with a dot
	Listing     bool // list folders that have no index page

	// For Proxy.
	VerifyTLS bool // check the certificate of an https target
}

// Defaults is a share of the given kind with everything that a user may leave
// out. Fields that are for another kind stay zero.
func Defaults(kind Kind) Share {
	s := Share{Kind: kind, Reach: Local, Notify: true, StopGrace: 10 * time.Second}
	switch kind {
	case Web:
		s.Listing = true
	case Proxy:
		s.VerifyTLS = true
	}
	return s
}

// Validate returns a Problem of code Invalid for the first thing that can never
// work. Whether the folder exists or the port is free is not its business.
func (s Share) Validate() error {
	if s.Name == (Name{}) {
		return problem.New(problem.Invalid, "the share has no name: give it one")
	}
	if key, err := s.check(); err != nil {
		return problem.New(problem.Invalid, "%s %w", key, err)
	}
	return nil
}

// check returns the key that is at fault and why. A value is right when its own
// text would be accepted, and mean the same.
func (s Share) check() (key string, err error) {
	again := s
	for _, k := range keysOf(s.Kind) {
		v := k.Field(&again)
		text := v.Get()
		if err := v.Set(text); err != nil {
			return k.Name, err
		}
		if v.Get() != text {
			return k.Name, fmt.Errorf("must be written as %q, not %q", v.Get(), text)
		}
	}
	if s.Kind == Proxy && s.Port != 0 && pointsAt(s.Target, s.Port) {
		return "target", fmt.Errorf("%q is the share itself, which has port %d: give the address of the app behind it, or the share another port", s.Target, s.Port)
	}
	return "", nil
}

// Package share says what a share is: its name, kind, target and rules, which
// values are allowed, and which are assumed. It is pure: it must not read the
// disk, open sockets or know about processes.
package share

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share/schema"
)

// Kind is what serves a share.
type Kind string

const (
	Web     Kind = "web"     // a folder, as web pages and listings
	Drive   Kind = "drive"   // a folder, as a drive over WebDAV
	Proxy   Kind = "proxy"   // a web app that already listens somewhere
	Caddy   Kind = "caddy"   // whatever a Caddyfile says
	TCP     Kind = "tcp"     // a port
	UDP     Kind = "udp"     // a port for datagrams
	SOCKS   Kind = "socks"   // a SOCKS5 proxy
	Command Kind = "command" // any program
)

// Reach is from where a share can be reached.
type Reach string

const (
	Local Reach = "local" // from this computer only
	LAN   Reach = "lan"   // from the networks this computer is on
)

// TLS is whether a share is served over https, and with whose certificate.
type TLS string

const (
	NoTLS    TLS = "off"
	LocalTLS TLS = "local" // of an authority of this computer's own
	OwnTLS   TLS = "own"   // files that the user has
)

// Readiness is how it is told that a program can be visited.
type Readiness string

const (
	ReadyPort    Readiness = "port"    // something accepts connections at its port
	ReadyHTTP    Readiness = "http"    // it answers a request
	ReadyLine    Readiness = "line"    // it has printed a certain line
	ReadyStarted Readiness = "started" // it runs; it has no port of its own
)

// Moment is a point in time, in seconds since 1970 (Unix time), or 0: never.
type Moment int64

// Passed reports whether it is over at now.
func (m Moment) Passed(now time.Time) bool { return m != 0 && now.Unix() >= int64(m) }

// String is as a file has it.
func (m Moment) String() string { return schema.FormatMoment(m) }

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
	Name Name
	Kind Kind
	// Target is a folder (absolute, clean) for Web and Drive, a URL with scheme
	// and host for Proxy, a file (absolute, clean) for Caddy, host:port or
	// unix:PATH for TCP, host:port for UDP, a command line for Command (see
	// Argv), and nothing for SOCKS.
	Target string
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

	// Who may reach it, and until when.
	Networks  schema.List // of visitors, as CIDR; none: any
	Expires   Moment
	Users     schema.List // "name:bcrypt hash"; none: no password
	Secret    string      // the token of a link that opens it without a password; "": none
	Hosts     schema.List // further host names that it answers to
	TLS       TLS
	TLSCert   string      // for OwnTLS: path of a certificate chain in PEM
	TLSKey    string      // and of its key
	NotifyOf  schema.List // what visitors do that is told on the desktop: see Visits
	AccessLog bool        // keep a log of requests

	// For Web and Drive.
	HiddenFiles bool  // serve names that begin with a dot
	Listing     bool  // list folders that have no index page
	Downloads   int   // that may be finished before it expires; 0: any number
	MaxUpload   Bytes // of one file; 0: no limit
	KeepFree    Bytes // of the disk, whatever is uploaded

	// For Web.
	Upload      bool // visitors may add files
	Overwrite   bool // and replace those that are there
	ShowUploads bool // and see what others have added

	// For Drive.
	Writable bool

	// For Proxy.
	VerifyTLS bool // check the certificate of an https target

	// For TCP, UDP and SOCKS.
	Idle         time.Duration // without a byte, then a connection is cut; 0: never
	Sessions     int           // UDP: of different visitors at the same time
	Destinations schema.List   // SOCKS: where visitors may go; none: nowhere

	// For Command.
	Dir          string // in which it runs; "": the user's home
	Env          schema.List
	Shell        bool // Target is for the system's shell
	Ready        Readiness
	ReadyPath    string // with ReadyHTTP
	ReadyLine    string // with ReadyLine: a regular expression
	ReadyTimeout time.Duration
	LinkPattern  string      // a regular expression that finds its link in what it prints
	Watch        schema.List // globs of files that restart it when they change
}

// What visitors do that is worth a word.
const (
	FirstVisit    = "visitor"  // somebody has come for the first time
	DownloadVisit = "download" // a file was downloaded, whole
	UploadVisit   = "upload"   // a file was added
)

// Visits are what Share.NotifyOf may have.
var Visits = []string{FirstVisit, DownloadVisit, UploadVisit}

// Defaults is a share of the given kind with everything that a user may leave
// out. Fields that are for another kind stay zero.
func Defaults(kind Kind) Share {
	s := Share{Kind: kind, Reach: Local, Notify: true, StopGrace: 10 * time.Second}
	if kind.IsHTTP() {
		s.TLS, s.AccessLog = NoTLS, true
	}
	switch kind {
	case Web, Drive:
		s.Listing, s.KeepFree = true, 256<<20
	case Proxy:
		s.VerifyTLS = true
	case UDP:
		s.Idle, s.Sessions = time.Minute, 4096
	case Command:
		s.Ready, s.ReadyPath, s.ReadyTimeout = ReadyPort, "/", time.Minute
	}
	return s
}

// IsHTTP reports whether visitors speak HTTP to shares of this kind.
func (k Kind) IsHTTP() bool { return slices.Contains(httpKinds, k) }

// HasFolder reports whether the target of this kind is a folder.
func (k Kind) HasFolder() bool { return slices.Contains(folderKinds, k) }

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
	if s.Kind == Command && !s.Shell {
		if _, err := SplitCommand(s.Target); err != nil {
			return "target", err
		}
	}
	switch {
	case s.Port != 0 && pointsAt(s.Kind, s.Target, s.Port):
		return "target", fmt.Errorf("%q is the share itself, which has port %d: give the address of the app behind it, or the share another port", s.Target, s.Port)
	case s.TLS == OwnTLS && (s.TLSCert == "" || s.TLSKey == ""):
		return "tls", errors.New(`is "own", which needs a certificate: give tls_cert and tls_key too, or write tls = "local"`)
	case s.Ready == ReadyLine && s.ReadyLine == "":
		return "ready", errors.New(`is "line", but no line is given: give ready_line too`)
	}
	return "", nil
}

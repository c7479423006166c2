// Package announce tells the networks of this computer about shares that can be
// reached from there, by mDNS and DNS-SD (RFC 6762 and 6763): they show up in file
// managers and in whatever else browses for services.
//
// Where Avahi runs, it is told; else this process answers for itself. It must not
// know what a share is beyond its name, port and protocol.
package announce

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sharetray/agentcore/reach"
)

// Service is what is announced. It can be compared with ==.
type Service struct {
	Name string // as people read it
	Type string // "_http._tcp"
	Port uint16
	Path string // below which it begins
}

// text is what goes into the TXT record (RFC 6763, 6.3).
func (s Service) text() []string { return []string{"path=" + s.Path} }

// backend announces one set of services.
type backend interface {
	// announce replaces what is announced; nothing ends it.
	announce(services []Service, host string, addrs []reach.Addr) error
	close()
}

// Announcer announces services until it is closed. It is safe for concurrent use.
type Announcer struct {
	log *slog.Logger

	mu       sync.Mutex
	services []Service
	addrs    []reach.Addr
	backend  backend // nil: nothing is announced
	failed   bool    // which was said
	answers  atomic.Bool
}

// New is an Announcer that announces nothing, and does nothing for it.
func New(log *slog.Logger) *Announcer { return &Announcer{log: log} }

// Host is the name by which this computer is known in its networks, "ada.local".
func Host() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return ""
	}
	short, _, _ := strings.Cut(strings.ToLower(name), ".")
	return short + ".local"
}

// Set announces these services, and no others, on the interfaces of addrs. What was
// announced already stays so.
func (a *Announcer) Set(services []Service, addrs []reach.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.answers.Store(a.backend != nil) }()
	if slices.Equal(a.services, services) && slices.Equal(a.addrs, addrs) {
		return
	}
	a.services, a.addrs = slices.Clone(services), slices.Clone(addrs)
	if len(services) == 0 || len(addrs) == 0 {
		a.endLocked()
		return
	}
	if a.backend != nil {
		if a.backend.announce(services, Host(), addrs) == nil {
			return
		}
		a.endLocked() // Avahi was restarted, for one
	}
	var err error
	for _, open := range []func() (backend, error){openAvahi, openOwn} {
		var b backend
		if b, err = open(); err != nil {
			continue
		}
		if err = b.announce(services, Host(), addrs); err == nil {
			a.backend, a.failed = b, false
			return
		}
		b.close()
	}
	if !a.failed {
		a.log.Warn("shares are not announced in the network", "error", err)
		a.failed = true
	}
}

// Answers reports whether this computer's name in its networks is answered for.
// It never waits.
func (a *Announcer) Answers() bool { return a.answers.Load() }

func (a *Announcer) endLocked() {
	if a.backend != nil {
		a.backend.close()
		a.backend = nil
	}
}

// Close ends what is announced.
func (a *Announcer) Close() { a.Set(nil, nil) }

// unique is the name under which a service is announced when others have taken
// the first ones: "photos (2)".
func unique(name string, try int) string {
	if try == 0 {
		return name
	}
	return fmt.Sprintf("%s (%d)", name, try+1)
}

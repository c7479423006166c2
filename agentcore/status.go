package agentcore

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

// Status is everything that can be said about one share at one moment. It is
// what `list --json` prints and what the tray draws.
type Status struct {
	Name      string            `json:"name"`
	Kind      share.Kind        `json:"kind,omitempty"`
	Target    string            `json:"target"`
	Reach     share.Reach       `json:"reach,omitempty"`
	Dir       string            `json:"dir,omitempty"` // where a command runs
	Port      uint16            `json:"port"`
	State     supervise.Phase   `json:"state"`
	Trouble   supervise.Trouble `json:"trouble,omitempty"` // what is at fault when not all is well
	PID       int               `json:"pid"`               // 0 when no process serves it
	URLs      []string          `json:"urls"`
	Restarts  int               `json:"restarts"`       // since the agent started
	Crashes   int               `json:"recent_crashes"` // in the last minute
	Since     time.Time         `json:"since"`          // when State was entered
	LastError string            `json:"last_error"`
	Paused    bool              `json:"paused"`
	Notify    bool              `json:"notify"`
	NotifyOf  []string          `json:"notify_of,omitempty"` // which visits are told on the desktop, too
	StopGrace string            `json:"stop_grace"`
	Limits    []string          `json:"limits,omitempty"` // of each limit that is set, how it is kept

	Users    []string   `json:"users,omitempty"`    // names of who can open it with a password
	Networks []string   `json:"networks,omitempty"` // from which it can be reached; none: all
	Expires  *time.Time `json:"expires,omitempty"`

	link.Use                // since it was started
	Visitors []link.Visitor `json:"visitors,omitempty"` // the last ones first, of one share only

	File string `json:"file"` // the TOML file that declares it
}

// EventType says what an Event tells.
type EventType string

const (
	Changed   EventType = "changed"   // some field of Status differs; also sent for a new share
	Removed   EventType = "removed"   // the share is no more; Status is its last
	Crashed   EventType = "crashed"   // its process died unasked; Cause says how
	Recovered EventType = "recovered" // ready again after Crashed; Downtime is set
	Failed    EventType = "failed"    // given up: Status.LastError says why
	Blocked   EventType = "blocked"   // it can't start for now (its port is taken); Status.LastError says why
	Limited   EventType = "limited"   // it has met a limit of its own; Cause says which
	Expired   EventType = "expired"   // it has come to the end that was set for it; Cause says which
	Visited   EventType = "visitor"   // somebody has come for the first time, as far as is known; see Visit
	Download  EventType = "download"  // somebody has a file, whole; see Visit
	Upload    EventType = "upload"    // somebody has added a file; see Visit
	Adopted   EventType = "adopted"   // a new agent looks after its process, which went on all the while
)

// Event is one thing that happened to one share.
type Event struct {
	Type     EventType     `json:"type"`
	Time     time.Time     `json:"time"`
	Share    Status        `json:"share"`
	Cause    string        `json:"cause,omitempty"`
	Downtime time.Duration `json:"downtime_ns,omitempty"`
	Visit    *link.Visit   `json:"visit,omitempty"`
}

func (m *member) status() Status {
	phase, trouble, reason := m.last.State.View()
	st := Status{
		Name: m.name, State: phase, Trouble: trouble, LastError: reason,
		PID: m.last.State.Cur.PID, Restarts: m.last.State.Restarts,
		Crashes: m.last.State.RecentCrashes(time.Now()), Since: m.last.State.Since,
		File: m.file, URLs: []string{}, Notify: true, Limits: m.last.State.Limits, Use: m.last.Use,
	}
	if m.known {
		st.Kind, st.Target, st.Reach, st.Port = m.share.Kind, m.share.Target, m.share.Reach, m.share.Port
		st.Paused, st.Notify, st.StopGrace = m.share.Paused, m.share.Notify, m.share.StopGrace.String()
		st.URLs = links(m.share, m.last.State.Link, m.host())
		st.Dir = m.share.Dir
		st.NotifyOf = m.share.NotifyOf.Values()
		st.Networks = m.share.Networks.Values()
		for _, u := range m.share.Users.Values() {
			name, _, _ := strings.Cut(u, ":")
			st.Users = append(st.Users, name)
		}
		if e := m.share.Expires; e != 0 {
			t := time.Unix(int64(e), 0)
			st.Expires = &t
		}
	}
	return st
}

// links returns the URLs of a share, the best one to give away first. own is a link
// that the target has made itself; host is this computer's name in its networks, if
// it is answered for.
func links(sh share.Share, own, host string) []string {
	urls := []string{}
	if own != "" {
		urls = append(urls, own)
	}
	if sh.Port == 0 {
		return urls
	}
	scheme, path := scheme(sh), "/"
	switch {
	case !sh.Kind.IsHTTP():
		path = ""
	case sh.Secret != "":
		path = "/s/" + sh.Secret + "/"
	}
	var here []string
	for _, a := range supervise.Addresses(sh) {
		switch u := scheme + "://" + a.String() + path; {
		case a.Addr() == netip.IPv6Loopback(): // the same computer as 127.0.0.1, and harder to read
		case a.Addr().IsLoopback():
			here = append(here, u)
		default:
			urls = append(urls, u)
		}
	}
	if sh.Reach == share.LAN && host != "" {
		urls = append(urls, scheme+"://"+host+":"+strconv.Itoa(int(sh.Port))+path)
	}
	return append(urls, here...)
}

func scheme(sh share.Share) string {
	switch sh.Kind {
	case share.TCP:
		return "tcp"
	case share.UDP:
		return "udp"
	case share.SOCKS:
		return "socks5"
	}
	if sh.TLS != share.NoTLS && sh.TLS != "" {
		return "https"
	}
	return "http"
}

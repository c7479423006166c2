package notice

import (
	"strings"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
)

// A Mood is how a share is, or all of them, at a glance: what colours and icons show.
type Mood string

const (
	Well    Mood = "well"    // everything that should be up is up
	Working Mood = "working" // something is starting, stopping or being restarted
	Trouble Mood = "trouble" // something needs the user
	Nothing Mood = "nothing" // nothing is shared, or it is paused
)

// MoodOf is what one share adds to the whole.
func MoodOf(st agentcore.Status) Mood {
	switch st.State {
	case supervise.Ready:
		return Well
	case supervise.Starting, supervise.Stopping:
		return Working
	case supervise.Backoff:
		if st.Trouble == supervise.PortTrouble {
			return Trouble
		}
		return Working
	case supervise.Stopped:
		return Nothing
	}
	return Trouble // unhealthy, failed, invalid, and what is not known here
}

// Worst is the mood of all shares together.
func Worst(shares []agentcore.Status) Mood {
	rank := map[Mood]int{Nothing: 0, Well: 1, Working: 2, Trouble: 3}
	worst := Nothing
	for _, st := range shares {
		if m := MoodOf(st); rank[m] > rank[worst] {
			worst = m
		}
	}
	return worst
}

// Summary says in one line how the shares are.
func Summary(l *words.Language, shares []agentcore.Status) string {
	by := map[Mood][]agentcore.Status{}
	for _, st := range shares {
		m := MoodOf(st)
		by[m] = append(by[m], st)
	}
	all, paused := len(shares), len(by[Nothing])
	trouble, working := by[Trouble], by[Working]
	switch {
	case all == 0:
		return l.Say("summary.none")
	case len(trouble) == 1:
		return l.Say("summary.trouble_one", Name(trouble[0].Name))
	case len(trouble) > 1:
		return l.Say("summary.trouble_many", len(trouble), all)
	case len(working) == 1:
		return l.Say("summary.working_one", Name(working[0].Name), State(l, working[0]))
	case len(working) > 1:
		return l.Say("summary.working_many", len(working), all, doing(l, working))
	case paused == all && all == 1:
		return l.Say("summary.paused_one", Name(shares[0].Name))
	case paused == all:
		return l.Say("summary.paused_many", all)
	}
	out := l.Count("summary.well", all-paused)
	if paused > 0 {
		out = l.Say("summary.and_paused", out, paused)
	}
	return out
}

// doing is what several shares that are on their way are at.
func doing(l *words.Language, working []agentcore.Status) string {
	var said []string
	for _, key := range []string{"starting", "restarting", "stopping"} {
		for _, st := range working {
			if condition(st) == key {
				said = append(said, l.Say("state."+key))
				break
			}
		}
	}
	return strings.Join(said, l.Say("summary.or"))
}

// CanStart reports whether a share waits for somebody to start it.
func CanStart(st agentcore.Status) bool {
	return st.State == supervise.Stopped || st.State == supervise.Failed
}

// CanStop reports whether a share can be paused.
func CanStop(st agentcore.Status) bool {
	switch st.State {
	case supervise.Ready, supervise.Unhealthy, supervise.Starting, supervise.Backoff:
		return true
	}
	return false
}

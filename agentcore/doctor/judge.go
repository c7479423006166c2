package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sharetray/agentcore/adopt"
	"sharetray/agentcore/link"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/supervise"
)

const (
	// leastFree is how many bytes should be free on a disk: for logs, and for all
	// that is written whole before it replaces what was there.
	leastFree = 20 << 20
	// writeTime is how old a temporary file is that nobody writes any more, while
	// there is an agent.
	writeTime = time.Minute
)

// Judge says what is to be said about what was seen.
func Judge(f Facts) []Finding {
	j := &judge{Facts: f}
	j.agent()
	j.settings()
	j.shares()
	j.ports()
	j.folders()
	j.disk()
	j.desktop()
	j.processes()
	j.leftovers()
	return j.findings
}

type judge struct {
	Facts
	findings []Finding
}

func (j *judge) say(c Check, s State, format string, args ...any) {
	j.findings = append(j.findings, Finding{Check: c, State: s, Sentence: fmt.Sprintf(format, args...)})
}

// mend says what there is to mend. Until it is mended it is a problem.
func (j *judge) mend(c Check, r remedy, format string, args ...any) {
	j.findings = append(j.findings, Finding{Check: c, State: Problem, Sentence: fmt.Sprintf(format, args...), remedy: r})
}

// allWell says that a check has found nothing.
func (j *judge) allWell(c Check, format string, args ...any) {
	if !slices.ContainsFunc(j.findings, func(f Finding) bool { return f.Check == c }) {
		j.say(c, OK, format, args...)
	}
}

func (j *judge) agent() {
	a := j.Agent
	switch {
	case !a.Runs && a.Lives && a.PID != 0:
		j.say(CheckAgent, Problem, "the agent (pid %d) does not answer: if that lasts, end it with `kill -9 %[1]d`; what it shares goes on meanwhile, and starts another one", a.PID)
	case !a.Runs && a.Lives:
		j.say(CheckAgent, Problem, "the agent does not answer: if that lasts, end its process; what it shares goes on meanwhile, and starts another one")
	case !a.Runs:
		j.say(CheckAgent, Info, "no agent runs: `sharetray` starts one")
	case a.Info.Version != j.Version:
		j.say(CheckAgent, Info, "the agent runs version %s (pid %d), this program is %s: `sharetray upgrade` replaces it, and cuts nobody off", a.Info.Version, a.Info.PID, j.Version)
	case a.Info.Outdated:
		j.say(CheckAgent, Info, "the agent runs a program that was replaced on disk (pid %d): `sharetray upgrade` has it go on as the new one, and cuts nobody off", a.Info.PID)
	default:
		j.say(CheckAgent, OK, "the agent runs: version %s, pid %d", a.Info.Version, a.Info.PID)
	}
}

func (j *judge) settings() {
	if j.NoSettings != nil {
		j.say(CheckSettings, Problem, "%s; until then the defaults are in force", problem.Sentence(j.NoSettings))
	}
	j.allWell(CheckSettings, "the settings can be used")
}

func (j *judge) shares() {
	if j.NoShares != nil {
		j.say(CheckShares, Problem, "%s", problem.Sentence(j.NoShares))
	}
	spoiled := map[string]bool{}
	for _, e := range j.Shares {
		if e.Err != nil {
			spoiled[e.Name] = true
			j.say(CheckShares, Problem, "%s", problem.Sentence(e.Err))
		}
	}
	for _, st := range j.Agent.Shares {
		if troubled(st.State) && st.LastError != "" && !spoiled[st.Name] {
			j.say(CheckShares, Problem, "%s is %s: %s", st.Name, st.State, st.LastError)
		}
	}
	j.allWell(CheckShares, "%s", count(len(j.Shares), "nothing is shared", "1 share, all is well with it", "%d shares, all is well with them"))
}

func troubled(p supervise.Phase) bool {
	return slices.Contains([]supervise.Phase{supervise.Backoff, supervise.Unhealthy, supervise.Failed, supervise.Invalid}, p)
}

func count(n int, none, one, many string) string {
	switch n {
	case 0:
		return none
	case 1:
		return one
	}
	return fmt.Sprintf(many, n)
}

func (j *judge) ports() {
	owner := map[uint16]string{}
	for _, e := range j.Shares {
		if e.Err != nil || e.Share.Port == 0 {
			continue
		}
		if other, taken := owner[e.Share.Port]; taken {
			j.say(CheckPorts, Problem, "%s and %s both have port %d: give one of them another with `sharetray set %[2]s port=NUMBER`", other, e.Name, e.Share.Port)
			continue
		}
		owner[e.Share.Port] = e.Name
	}
	for _, name := range slices.Sorted(maps.Keys(j.Ports)) {
		if err := j.Ports[name]; err != nil {
			j.say(CheckPorts, Problem, "%s: %s", name, problem.Sentence(err))
		}
	}
	j.allWell(CheckPorts, "every share has its port")
}

func (j *judge) folders() {
	switch {
	case j.NoRuntime != nil:
		j.say(CheckFolders, Problem, "%s", problem.Sentence(j.NoRuntime))
	case j.AskedFor != "":
		j.say(CheckFolders, Info, "sockets are in %s, since %s can't be used: see that it is there, yours alone, and short", j.RuntimeDir, j.AskedFor)
	}
	for _, dir := range slices.Sorted(maps.Keys(j.Unwritable)) {
		j.say(CheckFolders, Problem, "nothing can be kept in %s: %v; make it yours", dir, j.Unwritable[dir])
	}
	j.allWell(CheckFolders, "all folders are there or can be made")
}

func (j *judge) disk() {
	for _, d := range j.Disks {
		switch {
		case d.Free == 0:
			j.say(CheckDisk, Problem, "the disk of %s is full: make room, or no change can be saved", d.Path)
		case d.Free < leastFree:
			j.say(CheckDisk, Problem, "only %.1f MB are free on the disk of %s: make room", float64(d.Free)/1e6, d.Path)
		}
	}
	j.allWell(CheckDisk, "there is room on the disk")
}

func (j *judge) desktop() {
	switch d := j.Desktop; {
	case !j.DesktopSeen:
		return
	case d.Bus != nil:
		j.say(CheckDesktop, Info, "there is no session bus, and so no tray icon and no notifications: all else works without")
		return
	case !d.TrayHost:
		j.say(CheckDesktop, Info, "no tray host: the icon shows when one appears (GNOME has one as the extension AppIndicator)")
	}
	if j.Desktop.Bus == nil && !j.Desktop.Notifications {
		j.say(CheckDesktop, Info, "nothing on this desktop shows notifications")
	}
	j.allWell(CheckDesktop, "the desktop shows tray icons and notifications")
}

func (j *judge) processes() {
	served := 0
	for i := range j.Processes {
		switch p := &j.Processes[i]; {
		case p.Answer == adopt.Ours && !p.Alone:
			served++
		case !p.Fresh:
			j.process(p)
		}
	}
	j.allWell(CheckProcesses, "%s", count(served, "no share process runs", "1 share process runs", "%d share processes run, those that wait included"))
}

func (j *judge) process(p *Process) {
	who := cmp.Or(p.Share, "no share yet")
	switch {
	case p.Answer == adopt.Nobody && p.Lives:
		j.say(CheckProcesses, Problem, "%s says that process %d is the share %s, but nobody answers at %s: left alone; remove the record if that process is none of yours", p.Record, p.PID, who, p.Link)
	case p.Answer == adopt.Nobody:
		j.mend(CheckLeftovers, remedy{act: forget, process: p}, "a share process that has ended%s has left %s", ofShare(p.Share), strings.Join(p.Left, ", "))
	case p.Answer == adopt.Silent && p.Recorded && j.Agent.Runs:
		j.say(CheckProcesses, Problem, "the process of %s (pid %d) does not answer: if that lasts, `sharetray restart %[1]s` replaces it", who, p.PID)
	case p.Answer == adopt.Silent && p.Recorded:
		j.say(CheckProcesses, Problem, "the process of %s (pid %d) does not answer: the next agent replaces it; start one with `sharetray`", who, p.PID)
	case p.Answer == adopt.Silent:
		j.say(CheckProcesses, Problem, "who listens at %s does not answer, and nothing says who it is: left alone", p.Link)
	case p.Answer == adopt.Stranger:
		j.say(CheckProcesses, Problem, "it is no share process that listens at %s: left alone; end it if you don't know it", p.Link)
	case p.Answer == adopt.Newer:
		j.say(CheckProcesses, Info, "the share process at %s is of a newer version: left to that", p.Link)
	case p.Duty != link.Serves:
		j.say(CheckProcesses, Info, "process %d has no agent%s: it finishes what is in flight, and ends by itself", p.PID, ofShare(p.Share))
	case j.Agent.Runs && j.upgrading():
		j.say(CheckProcesses, Info, "process %d is %s, and waits for the agent that takes over", p.PID, who)
	case j.Agent.Runs:
		j.mend(CheckProcesses, remedy{act: end, process: p}, "process %d serves %s, and the agent does not know of it", p.PID, who)
	default:
		j.say(CheckProcesses, Info, "%s is served without an agent (pid %d), for as long as its lease: an agent takes it over, start one with `sharetray`", who, p.PID)
	}
}

func (j *judge) upgrading() bool {
	up := j.Agent.Info.Upgrade
	return up != nil && up.State == "rolling"
}

func ofShare(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

func (j *judge) leftovers() {
	agentless := !j.Agent.Runs && !j.Agent.Lives
	var runtime []string
	for _, t := range j.Things {
		switch {
		case (t.Kind == Logs || t.Kind == History) && !j.isRemoved(t.Share): // its user's affair
		case t.Odd != "":
			j.say(CheckLeftovers, Problem, "%s %s: left alone; remove it if you don't know it", t.Path, t.Odd)
		case t.Newer:
			j.say(CheckLeftovers, Info, "%s is of a newer version: left to that", t.Path)
		case t.Kind == Unknown:
			j.say(CheckLeftovers, Info, "%s is nothing that this version knows: left alone", t.Path)
		case t.Kind == Temporary && (agentless || t.Age > writeTime):
			j.mend(CheckLeftovers, remedy{act: remove, path: t.Path}, "%s is what an interrupted write has left", t.Path)
		case t.Kind == Logs:
			j.mend(CheckLeftovers, remedy{act: empty, path: t.Path}, "%s is the log of %s, which is no share any more", t.Path, t.Share)
		case t.Kind == History:
			j.mend(CheckLeftovers, remedy{act: remove, path: t.Path}, "%s is the history of %s, which is no share any more", t.Path, t.Share)
		case t.Kind == Runtime:
			runtime = append(runtime, filepath.Base(t.Path))
		}
	}
	odd := slices.ContainsFunc(j.Things, func(t Thing) bool { return (t.Kind == Runtime || t.Kind == Sock) && t.Odd != "" })
	if agentless && len(runtime) > 0 && !odd && !slices.ContainsFunc(j.Processes, isThere) {
		j.mend(CheckLeftovers, remedy{act: vacate, path: j.RuntimeDir}, "an agent that did not end in order has left %s in %s", strings.Join(runtime, ", "), j.RuntimeDir)
	}
	j.allWell(CheckLeftovers, "nothing is left over")
}

// isThere reports whether somebody may be behind a link.
func isThere(p Process) bool { return p.Answer != adopt.Nobody || p.Lives }

// isRemoved reports whether it is certain that there is no share of that name.
func (j *judge) isRemoved(name string) bool {
	if j.NoShares != nil || name == "" {
		return false
	}
	for _, e := range j.Shares {
		if strings.EqualFold(e.Name, name) {
			return false
		}
	}
	for _, st := range j.Agent.Shares {
		if strings.EqualFold(st.Name, name) {
			return false
		}
	}
	return !slices.ContainsFunc(j.Processes, func(p Process) bool { return isThere(p) && strings.EqualFold(p.Share, name) })
}

package agentcore

import (
	"path/filepath"

	"sharetray/agentcore/problem"
	"sharetray/platform"
)

// Autostart is the start of an agent at login.
type Autostart struct {
	Profile string
	Exe     string // what is started
	Icon    string // path of a picture; "" for none
}

// Set turns it on or off. The error is a Problem.
func (a Autostart) Set(on bool) error {
	entry, err := a.entry()
	if err != nil {
		return err
	}
	if err := platform.SetAutostart(on, entry); err != nil {
		return problem.New(problem.Conflict, "%w", err)
	}
	return nil
}

// Status says whether it is on, and by which file. The error is a Problem.
func (a Autostart) Status() (platform.AutostartState, error) {
	entry, err := a.entry()
	if err != nil {
		return platform.AutostartState{}, err
	}
	st, err := platform.AutostartOf(entry)
	if err != nil {
		return st, problem.New(problem.Conflict, "%w", err)
	}
	return st, nil
}

func (a Autostart) entry() (platform.AutostartEntry, error) {
	exe, err := filepath.Abs(a.Exe)
	if err != nil {
		return platform.AutostartEntry{}, problem.New(problem.Internal, "this program's own place is not known: %w", err)
	}
	e := platform.AutostartEntry{
		ID: "sharetray", Name: "Sharetray", Comment: "Keeps your shares up", Exe: exe, Icon: a.Icon,
		Args: Paths{Profile: a.Profile}.AgentArgs(),
	}
	if a.Profile != "" {
		e.ID, e.Name = e.ID+"-"+a.Profile, e.Name+" ("+a.Profile+")"
	}
	return e, nil
}

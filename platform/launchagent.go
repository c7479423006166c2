package platform

import (
	"fmt"
	"strings"

	"howett.net/plist"
)

// launchAgent is what launchd.plist(5) has for a program that starts at login.
type launchAgent struct {
	Label            string
	Program          string `plist:",omitempty"`
	ProgramArguments []string
	RunAtLoad        bool
	Disabled         bool   `plist:",omitempty"`
	ProcessType      string `plist:",omitempty"`
	// AbandonProcessGroup keeps launchd from ending what the program has started
	// and left running.
	AbandonProcessGroup bool
}

func launchAgentFile(entry AutostartEntry) ([]byte, error) {
	return plist.MarshalIndent(launchAgent{
		Label: entry.ID, ProgramArguments: entry.command(), RunAtLoad: true, ProcessType: "Interactive", AbandonProcessGroup: true,
	}, plist.XMLFormat, "\t")
}

// launchAgentState tells what launchd makes of the file at place.
func launchAgentState(entry AutostartEntry, place string, file []byte) (AutostartState, error) {
	var agent launchAgent
	if _, err := plist.Unmarshal(file, &agent); err != nil {
		return AutostartState{Place: place}, fmt.Errorf("%s can't be read: %w", place, err)
	}
	argv := agent.ProgramArguments
	if agent.Program != "" { // it counts, and the first argument is only a name then
		argv = append([]string{agent.Program}, argv[min(1, len(argv)):]...)
	}
	if !agent.RunAtLoad || agent.Disabled || len(argv) == 0 {
		return AutostartState{Place: place}, nil
	}
	return entry.state(place, strings.Join(argv, " "), argv), nil
}

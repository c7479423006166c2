package supervise

import (
	"strconv"
	"strings"

	"sharetray/agentcore/link"
	"sharetray/platform"
)

// endPrograms ends what a share process has run that died before it could stop it.
// What belongs to processes that live is left alone.
func endPrograms() {
	platform.KillMarked(link.ProgramVariable, func(value string) bool {
		_, owner, _ := strings.Cut(value, ":")
		text, started, ok := strings.Cut(owner, ":")
		pid, err := strconv.Atoi(text)
		if !ok || err != nil {
			return false
		}
		now, err := platform.ProcessStart(pid)
		return err != nil || now != started
	})
}

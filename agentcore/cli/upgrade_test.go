package cli

import (
	"context"
	"path/filepath"
	"testing"

	"sharetray/agentcore/problem"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(0, "the agent runs this very program already: v1.2.3\n", "", "upgrade")
	r.want(0, "{\n  \"state\": \"needless\",\n  \"from\": \"v1.2.3\",\n  \"to\": \"v1.2.3\",\n  \"rolled\": 0,\n  \"of\": 0\n}\n", "", "upgrade", "--json")
	var asked string
	r.agent.Hook = func(_ context.Context, method, what string) error {
		if method == "upgrade" {
			asked = what
		}
		return problem.New(problem.Conflict, "an upgrade is under way already: wait until it is done")
	}
	r.want(1, "", "sharetray: an upgrade is under way already: wait until it is done\n", "upgrade")
	if asked != r.env.Exe {
		t.Errorf("upgraded to %q, not to this program", asked)
	}
	r.want(1, "", "under way", "upgrade", "new")
	if here, err := filepath.Abs("new"); err != nil || asked != here {
		t.Errorf("upgraded to %q, want %q, %v", asked, here, err)
	}
	r.end()
	r.want(4, "", "sharetray: no agent is running", "upgrade")
}

package platform

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

const socketFilter = "/usr/libexec/ApplicationFirewall/socketfilterfw"

// firewallOf: this firewall lets programs through, whatever their port.
func firewallOf(ctx context.Context, _ uint16, _ bool) Firewall {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, socketFilter, "--getglobalstate").Output()
	if err != nil {
		return Firewall{}
	}
	f := Firewall{
		Name:   "macOS firewall",
		Active: !strings.Contains(string(out), "State = 0"), // "Firewall is enabled. (State = 1)", or 2
		Note:   "It lets this program through on every port.",
	}
	if exe, err := os.Executable(); err == nil {
		exe = shellWord(exe)
		f.Command = "sudo " + socketFilter + " --add " + exe + " && sudo " + socketFilter + " --unblockapp " + exe
	}
	return f
}

func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Sharetray keeps shares up: folders and web apps of this computer that others
// can reach by a link.
//
// This file decides which role this process has: a share process, or whatever
// the command line says, which may be the agent (run.go).
package main

import (
	"os"

	"sharetray/agentcore"
	"sharetray/agentcore/cli"
	"sharetray/agentcore/process"
)

// version is set by the linker: -X main.version=v1.2.3
var version string

func main() {
	v := cli.Version(version)
	if len(os.Args) == 3 && os.Args[1] == agentcore.ShareProcessRole {
		os.Exit(process.Main(os.Args[2], v))
	}
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0] // it can't be known, and this is the best guess
	}
	os.Exit(cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Env{
		Version:  v,
		Exe:      exe,
		RunAgent: agentOf(v, exe),
	}))
}

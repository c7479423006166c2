package agentcore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/adrg/xdg"

	"sharetray/agentcore/problem"
	"sharetray/platform"
)

// Paths are the places of one agent on disk, by the XDG base directories (and
// what stands for them on Windows and macOS).
type Paths struct {
	Shares   string // a TOML file for each share
	Settings string // the settings file
	State    string // logs and records
	Logs     string // a folder for each share
	Links    string // the share processes' sockets
	Control  string // the control socket
	Lock     string // held by the one agent
	AgentLog string // what the agent itself has to say
}

// longestLink is the longest name in Paths.Links.
const longestLink = "0123456789abcdef"

// FindPaths says where everything is, for this user. It makes nothing but the
// runtime folder, which must be private: a missing one (no login manager) is
// replaced by one of our own under the temporary folder.
func FindPaths() (Paths, error) {
	config := filepath.Join(xdg.ConfigHome, "sharetray")
	state := filepath.Join(xdg.StateHome, "sharetray")
	run, err := runtimeFolder(config)
	if err != nil {
		return Paths{}, err
	}
	return Paths{
		Shares:   filepath.Join(config, "shares"),
		Settings: filepath.Join(config, "settings.toml"),
		State:    state,
		Logs:     filepath.Join(state, "logs"),
		Links:    filepath.Join(run, "l"),
		Control:  filepath.Join(run, "control"),
		Lock:     filepath.Join(run, "lock"),
		AgentLog: filepath.Join(state, "agent.log"),
	}, nil
}

// runtimeFolder returns the folder for sockets and the lock. The one of our own
// carries a hash of the config folder, so that two homes of one user (as tests
// and containers have) do not meet in it.
func runtimeFolder(config string) (string, error) {
	if base := os.Getenv("XDG_RUNTIME_DIR"); base != "" {
		dir := filepath.Join(base, "sharetray")
		if fi, err := os.Stat(base); err == nil && fi.IsDir() && platform.SocketPathFits(dir, "l/"+longestLink) {
			if err := platform.PrivateDir(dir); err == nil {
				return dir, nil
			}
		}
	}
	sum := sha256.Sum256([]byte(config))
	dir := filepath.Join(os.TempDir(), "sharetray-"+strconv.Itoa(os.Getuid()), hex.EncodeToString(sum[:4]))
	if !platform.SocketPathFits(dir, "l/"+longestLink) {
		dir = filepath.Join("/tmp", "sharetray-"+strconv.Itoa(os.Getuid()), hex.EncodeToString(sum[:4]))
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := platform.PrivateDir(d); err != nil {
			return "", problem.New(problem.Conflict,
				"no private folder for sockets can be had: %w; set XDG_RUNTIME_DIR to a folder that is yours alone", fmt.Errorf("%s: %w", d, err))
		}
	}
	return dir, nil
}

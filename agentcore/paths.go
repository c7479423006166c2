package agentcore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/rundir"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// Paths are the places of one agent on disk, by the XDG base directories (and
// what stands for them on Windows and macOS).
type Paths struct {
	Profile  string // whose they are; "" is the default profile
	Shares   string // a TOML file for each share
	Settings string // the settings file
	State    string // all that is kept, by the program for itself
	Logs     string // a folder for each share
	Records  string // a file for each share process
	History  string // a file for each share
	// Authority is what certificates of this computer's own come from.
	Authority string
	Links     string // the share processes' sockets
	Control   string // the control socket
	Lock      string // held by the one agent
	Revive    string // held by the one who starts an agent in place of a dead one
	AgentLog  string // what the agent itself has to say
}

// longestLink is the longest name in Paths.Links.
const longestLink = "0123456789abcdef.l"

// DefaultProfile is what a user writes for the profile that has no name.
const DefaultProfile = "default"

// profiles is the folder, in those of the default profile, of all others.
const profiles = "profiles"

// maxProfile is the longest name of a profile.
const maxProfile = 32

// ParseProfile returns the name of a profile as Paths has it. Case does not
// count, so that a profile is the same one on every system: it is lower case.
func ParseProfile(text string) (string, error) {
	odd := func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && !('0' <= r && r <= '9') && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z')
	}
	switch _, err := share.ParseName(text); {
	case text == "", len(text) > maxProfile, text[0] == '.', text[0] == '-', strings.ContainsFunc(text, odd):
		return "", problem.New(problem.Invalid, "%.60q can't name a profile: write 1 to %d of the characters a-z, 0-9, - . _, "+
			"of which neither - nor . can be the first", text, maxProfile)
	case err != nil: // a device on Windows, a dot at the end: no folder on every system
		return "", err
	}
	if text = strings.ToLower(text); text == DefaultProfile {
		text = ""
	}
	return text, nil
}

// Profiles lists the profiles that have a folder, besides the default one.
func Profiles() []string {
	entries, err := os.ReadDir(filepath.Join(xdg.ConfigHome, "sharetray", profiles))
	if err != nil {
		return nil // there are none, or none that can be had
	}
	var names []string
	for _, e := range entries {
		if name, err := ParseProfile(e.Name()); err == nil && name == e.Name() && e.IsDir() {
			names = append(names, name)
		}
	}
	return names
}

// AgentArgs are the arguments that make this program the agent of these places
// in the background, whatever its environment says of profiles.
func (p Paths) AgentArgs() []string {
	return []string{"agent", "--background", "--profile", cmp.Or(p.Profile, DefaultProfile)}
}

// What an agent may be told besides AgentArgs; none of it is for people.
const (
	RevivedFlag   = "revived"   // share processes start it in place of one that died
	SuccessorFlag = "successor" // the agent that runs starts it, to be replaced by it
	NoTrayFlag    = "no-tray"   // without an icon; this one is for people too
)

// FindPaths says where everything is, for this user and profile ("" is the
// default one). It makes nothing but the runtime folder, which must be private:
// a missing one (no login manager) is replaced by one of our own under the
// temporary folder. With an error come the places that are not in it.
func FindPaths(profile string) (Paths, error) {
	config := filepath.Join(xdg.ConfigHome, "sharetray")
	state := filepath.Join(xdg.StateHome, "sharetray")
	run, err := runtimeFolder(config, profile)
	if profile != "" {
		config = filepath.Join(config, profiles, profile)
		state = filepath.Join(state, profiles, profile)
	}
	p := Paths{
		Profile:   profile,
		Shares:    filepath.Join(config, "shares"),
		Settings:  filepath.Join(config, "settings.toml"),
		State:     state,
		Logs:      filepath.Join(state, "logs"),
		Records:   filepath.Join(state, "records"),
		History:   filepath.Join(state, "history"),
		Authority: filepath.Join(state, "authority"),
		AgentLog:  filepath.Join(state, "agent.log"),
	}
	if err == nil {
		p.Links, p.Control = filepath.Join(run, rundir.Links), filepath.Join(run, rundir.Control)
		p.Lock, p.Revive = filepath.Join(run, rundir.Lock), filepath.Join(run, rundir.Revive)
	}
	return p, err
}

// runtimeFolder returns the folder for sockets and the lock. That of a profile
// lies in that of the default one, and is a hash of its name: paths of sockets
// are short. The one of our own carries a hash of the config folder too, so that
// two homes of one user (as tests and containers have) do not meet in it.
func runtimeFolder(config, profile string) (string, error) {
	below := ""
	if profile != "" {
		below = shortHash(profile)
	}
	if base := os.Getenv("XDG_RUNTIME_DIR"); base != "" {
		dir := filepath.Join(base, rundir.Outermost)
		if fi, err := os.Stat(base); err == nil && fi.IsDir() && linksFit(filepath.Join(dir, below)) {
			if privateDirs(dir, filepath.Join(dir, below)) == nil {
				return filepath.Join(dir, below), nil
			}
		}
	}
	ours := filepath.Join(os.TempDir(), rundir.Fallback())
	dir := filepath.Join(ours, shortHash(config))
	if !linksFit(filepath.Join(dir, below)) {
		ours = filepath.Join("/tmp", filepath.Base(ours))
		dir = filepath.Join(ours, filepath.Base(dir))
	}
	if err := privateDirs(ours, dir, filepath.Join(dir, below)); err != nil {
		return "", problem.New(problem.Conflict,
			"no private folder for sockets can be had: %w; set XDG_RUNTIME_DIR to a folder that is yours alone", err)
	}
	return filepath.Join(dir, below), nil
}

// shortHash has only digits a-f and 0-9, unlike all that lies in a runtime folder.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:rundir.HashBytes])
}

func linksFit(dir string) bool { return platform.SocketPathFits(dir, rundir.Links+"/"+longestLink) }

func privateDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := platform.PrivateDir(dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

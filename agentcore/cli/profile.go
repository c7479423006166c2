package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/problem"
)

// The flag and the variable that choose a profile; the flag wins.
const (
	profileName = "profile"
	profileVar  = "SHARETRAY_PROFILE"
)

// profileFlag is the profile as the command line says it; "" when it does not.
type profileFlag string

func (p *profileFlag) String() string { return string(*p) }
func (p *profileFlag) Type() string   { return "NAME" }
func (p *profileFlag) Set(s string) error {
	if _, err := agentcore.ParseProfile(s); err != nil {
		return err
	}
	*p = profileFlag(s)
	return nil
}

// chosen is the profile that the command line or the environment names.
func (p profileFlag) chosen() (string, error) {
	if p != "" {
		return agentcore.ParseProfile(string(p))
	}
	name := os.Getenv(profileVar)
	if name == "" {
		return "", nil
	}
	profile, err := agentcore.ParseProfile(name)
	if err != nil {
		return "", problem.New(problem.Invalid, "%s: %w", profileVar, err)
	}
	return profile, nil
}

// advice makes the commands in a sentence ones for the profile of this one.
func (p profileFlag) advice(sentence string) string {
	if p == "" {
		return sentence
	}
	return strings.ReplaceAll(sentence, "`sharetray", "`sharetray --"+profileName+" "+string(p))
}

func completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return append([]string{agentcore.DefaultProfile}, agentcore.Profiles()...), cobra.ShellCompDirectiveNoFileComp
}

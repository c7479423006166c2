package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/doctor"
	"sharetray/agentcore/rundir"
)

const (
	examTime = 5 * time.Second       // for an agent to answer the doctor
	examPoll = 50 * time.Millisecond // between two questions to an agent that begins or ends
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON, dryRun bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Finds what is wrong, and mends what earlier crashes have left",
		Long: `Looks after all that Sharetray needs, with an agent that runs, without one, or with
one that hangs: folders, settings, shares and their ports, the desktop, and what
crashes have left behind. What is safe to mend is mended, the rest is said in a
sentence each. It touches nothing that it can't prove to be Sharetray's and yours.

The exit code is 0 if all is well or was mended, 1 if something remains.`,
		Example: `  sharetray doctor
  sharetray doctor --dry-run
  sharetray doctor --json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := a.examine(cmd.Context(), dryRun)
			if err != nil {
				return err
			}
			for i := range findings {
				findings[i].Sentence = a.profile.advice(oneLine(findings[i].Sentence))
			}
			if asJSON {
				err = a.printJSON(findings)
			} else {
				err = a.printFindings(findings)
			}
			if err == nil && slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.State == doctor.Problem }) {
				return reported(failed)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array of check, state (ok, mended, info or problem) and sentence")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell, and mend nothing")
	return cmd
}

// examine finds out how things are, and mends what it can unless dry is set.
func (a *app) examine(ctx context.Context, dry bool) ([]doctor.Finding, error) {
	if _, err := a.profile.chosen(); err != nil {
		return nil, err
	}
	paths, noRuntime := a.paths()
	var before []doctor.Finding
	for {
		findings := a.round(ctx, paths, noRuntime, dry)
		ended := slices.ContainsFunc(findings, func(f doctor.Finding) bool {
			return f.State == doctor.Mended && f.Check == doctor.CheckProcesses
		})
		if !ended || before != nil {
			return append(before, findings...), ctx.Err()
		}
		// What was of use to a process is not any more.
		before = slices.DeleteFunc(findings, func(f doctor.Finding) bool { return f.State != doctor.Mended })
	}
}

func (a *app) round(ctx context.Context, paths agentcore.Paths, noRuntime error, dry bool) []doctor.Finding {
	var agent doctor.Agent
	if noRuntime == nil {
		agent = askAgent(ctx, paths)
	}
	facts := doctor.Look(ctx, paths, noRuntime, agent, a.env.Version)
	defer facts.Close()
	findings := doctor.Judge(facts)
	if dry {
		return doctor.Advise(findings)
	}
	return doctor.Mend(ctx, findings)
}

// askAgent asks the agent how it is; one that begins or ends gets some time.
func askAgent(ctx context.Context, paths agentcore.Paths) doctor.Agent {
	ctx, cancel := context.WithTimeout(ctx, examTime)
	defer cancel()
	client, dir := control.Dial(paths), filepath.Dir(paths.Control)
	for {
		if info, err := client.Info(ctx); err == nil {
			if shares, err := client.List(ctx); err == nil {
				return doctor.Agent{Runs: true, Lives: true, PID: info.PID, Info: info, Shares: shares}
			}
		}
		switch {
		case !rundir.Held(dir):
			return doctor.Agent{}
		case ctx.Err() != nil:
			return doctor.Agent{Lives: true, PID: rundir.Holder(dir)}
		}
		select {
		case <-time.After(examPoll):
		case <-ctx.Done():
		}
	}
}

func (a *app) printFindings(findings []doctor.Finding) error {
	p := paintFor(a.Out)
	problems, mended := 0, 0
	for _, f := range findings {
		switch f.State {
		case doctor.Problem:
			problems++
		case doctor.Mended:
			mended++
		}
		if _, err := fmt.Fprintf(a.Out, "%s  %s\n", p.finding(f.State, pad(string(f.State), len(doctor.Problem))), f.Sentence); err != nil {
			return err
		}
	}
	summary := "all is well"
	switch {
	case problems == 1:
		summary = "1 problem remains"
	case problems > 1:
		summary = fmt.Sprintf("%d problems remain", problems)
	case mended > 0:
		summary = "all is well now"
	}
	_, err := io.WriteString(a.Out, summary+"\n")
	return err
}

func (p paint) finding(s doctor.State, text string) string {
	switch s {
	case doctor.OK:
		return p.with("32", text)
	case doctor.Problem:
		return p.with("31", text)
	case doctor.Mended:
		return p.with("33", text)
	}
	return p.dim(text)
}

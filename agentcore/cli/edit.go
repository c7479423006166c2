package cli

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/supervise"
)

func (a *app) editCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "edit NAME",
		Short: "Opens a share's file in your editor",
		Long: `Opens a share's file in your editor: $VISUAL, or $EDITOR, or one that is installed.
What you save there is in force at once; docs/files.md says what can stand there.`,
		Example:           "  sharetray edit holiday",
		Args:              wants(1, false, "NAME"),
		ValidArgsFunction: a.name,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			st, err := client.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			editor, err := editorCommand()
			if err != nil {
				return err
			}
			run := exec.CommandContext(cmd.Context(), editor[0], append(editor[1:], st.File)...)
			run.Stdin, run.Stdout, run.Stderr = a.In, a.Out, a.Err
			if err := run.Run(); err != nil {
				return problem.New(problem.Conflict, "the editor %s has failed: set EDITOR to another one (%w)", editor[0], err)
			}
			sh, err := declared(st.File, st.Name)
			if err != nil || st.State == supervise.Invalid {
				return err // the agent sees by itself that it is mended
			}
			// To set what is set already has the agent read the file now.
			_, err = client.Set(cmd.Context(), st.Name, map[string]string{"notify": strconv.FormatBool(sh.Notify)})
			return err
		},
	}
}

// editorCommand is the user's editor.
func editorCommand() ([]string, error) {
	if own := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR")); own != "" {
		words, err := share.SplitCommand(own)
		if err != nil || len(words) == 0 {
			return nil, problem.New(problem.Conflict, "EDITOR is %q, which is no command: set it to the name of your editor", own)
		}
		return words, nil
	}
	others := []string{"sensible-editor", "nano", "vim", "vi"}
	if runtime.GOOS == "windows" {
		others = []string{"notepad"}
	}
	for _, name := range others {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}, nil
		}
	}
	return nil, problem.New(problem.Conflict, "no editor is found: set EDITOR to the name of yours")
}

// declared is what a share's file says, or what is wrong with it.
func declared(file, name string) (share.Share, error) {
	shares, err := store.Open(filepath.Dir(file))
	if err != nil {
		return share.Share{}, err
	}
	entries, err := shares.Load()
	if err != nil {
		return share.Share{}, err
	}
	for _, e := range entries {
		switch {
		case e.Name == name && e.Err != nil:
			return e.Share, problem.New(problem.Conflict, "%s; `sharetray edit %s` opens it again", problem.Sentence(e.Err), quoted(name))
		case e.Name == name:
			return e.Share, nil
		}
	}
	return share.Share{}, problem.New(problem.NotFound, "the file of %s is gone, and the share with it: share it anew", name)
}

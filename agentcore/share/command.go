package share

import (
	"errors"
	"fmt"
	"strings"
)

// Argv is the command of a Command share: its program and arguments. With Shell
// it is one text, for the shell.
func (s Share) Argv() []string {
	if s.Shell {
		return []string{s.Target}
	}
	args, err := SplitCommand(s.Target)
	if err != nil {
		return nil // not valid: Validate says so
	}
	return args
}

// SplitCommand splits a command line at its spaces. What is in single quotes
// stays as it is; in double quotes, a backslash stands before a double quote or
// a backslash that is meant. Elsewhere a backslash is one, as in a path of
// Windows. The error completes "target …".
func SplitCommand(line string) (args []string, err error) {
	var arg strings.Builder
	begun := false
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '"' && c == '\\' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\'):
			i++
			arg.WriteByte(line[i])
		case quote != 0:
			arg.WriteByte(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case c == ' ' || c == '\t':
			if begun {
				args = append(args, arg.String())
				arg.Reset()
				begun = false
			}
		default:
			arg.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("has a %c that is not closed: close it", quote)
	}
	if begun {
		args = append(args, arg.String())
	}
	if len(args) == 0 || args[0] == "" {
		return nil, errors.New("names no program: give the command to run")
	}
	return args, nil
}

// JoinCommand writes arguments so that SplitCommand gives them back.
func JoinCommand(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		switch {
		case a != "" && !strings.ContainsAny(a, " \t\"'"):
			quoted[i] = a
		case !strings.Contains(a, "'"):
			quoted[i] = "'" + a + "'"
		default:
			quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a) + `"`
		}
	}
	return strings.Join(quoted, " ")
}

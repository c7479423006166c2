package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"sharetray/agentcore/password"
	"sharetray/agentcore/problem"
)

// defaultUser goes with a password to which no name was given.
const defaultUser = "guest"

// askPassword asks for a password, at the terminal or by a line of standard
// input, and returns "user:HASH".
func (a *app) askPassword(user string) (string, error) {
	if user == "" || strings.Contains(user, ":") {
		return "", misusef("the user's name %q can't be used: give one without a colon", user)
	}
	text, err := a.readPassword()
	if err != nil {
		return "", err
	}
	hash, err := password.Hash(text)
	if err != nil {
		return "", problem.New(problem.Invalid, "the password %w", err)
	}
	return user + ":" + hash, nil
}

func (a *app) readPassword() (string, error) {
	f, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(a.In, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", problem.New(problem.Conflict, "the password can't be read from standard input: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", misusef("there is no password in standard input: give it as a line, or ask at a terminal")
		}
		return line, nil
	}
	first, err := a.prompt(f, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := a.prompt(f, "The same again: ")
	if err == nil && first != second {
		return "", misusef("the two passwords differ: try again")
	}
	return first, err
}

func (a *app) prompt(f *os.File, text string) (string, error) {
	fmt.Fprint(a.Err, text)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.Err)
	if err != nil {
		return "", problem.New(problem.Conflict, "the password can't be read: %w", err)
	}
	return string(b), nil
}

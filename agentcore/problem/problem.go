// Package problem is the one kind of error that a user is meant to read: a
// sentence that says what is wrong and what to do, a code that decides exit
// codes and HTTP statuses, and the cause for the log.
//
// It must not know about shares, files, networks or how errors are shown.
package problem

import (
	"errors"
	"fmt"
)

// Code classifies a problem, so that callers can react without reading text.
type Code string

const (
	Invalid     Code = "invalid"     // a value that can never be right: a name with "/", a port of 70000
	NotFound    Code = "not_found"   // no such share
	Exists      Code = "exists"      // a share of that name exists
	Conflict    Code = "conflict"    // the state of the world forbids it: port in use, folder missing
	Unavailable Code = "unavailable" // no agent, or the agent does not answer
	Unsupported Code = "unsupported" // this system can't do it (yet)
	Internal    Code = "internal"    // everything that is our fault or the disk's
)

// Problem is an error with a sentence for the user. Sentence is complete,
// starts lower-case (it follows "sharetray: "), carries no trailing period,
// and says what to do. Err, when set, is the cause for the log; it is not shown.
type Problem struct {
	Code     Code
	Sentence string
	Err      error
}

func (p *Problem) Error() string { return p.Sentence }
func (p *Problem) Unwrap() error { return p.Err }

// New makes a problem from a code and a formatted sentence. A %w in the format
// becomes the cause, as with fmt.Errorf.
func New(code Code, format string, args ...any) *Problem {
	err := fmt.Errorf(format, args...)
	return &Problem{Code: code, Sentence: err.Error(), Err: errors.Unwrap(err)}
}

// CodeOf returns the code of the first Problem in err's chain, Internal for any
// other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return Internal
}

// Is reports whether err carries the given code.
func Is(err error, code Code) bool { return CodeOf(err) == code }

// Sentence returns what to tell the user about err.
func Sentence(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Sentence
	}
	return err.Error()
}

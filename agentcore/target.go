package agentcore

import (
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
)

// CheckTarget says why a target can't be shared now. An app that is down is no
// reason: it may come up, and visitors see a page that waits for it.
func CheckTarget(s share.Share) error {
	if err := checkCertificate(s); err != nil {
		return err
	}
	switch {
	case s.Kind.HasFolder():
		return checkFolder(s.Target)
	case s.Kind == share.Caddy:
		return checkFile(s.Target)
	case s.Kind == share.Command:
		return checkCommand(s)
	}
	return nil
}

func checkFolder(dir string) error {
	f, err := os.Open(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Conflict, "there is no folder %s: check the spelling", dir)
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Conflict, "the folder %s can't be read: give yourself the right to read it", dir)
	case err != nil:
		return problem.New(problem.Conflict, "the folder %s can't be opened: %w", dir, err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && !fi.IsDir() {
		return problem.New(problem.Conflict, "%s is a file, not a folder: share the folder that it is in", dir)
	}
	if _, err := f.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return problem.New(problem.Conflict, "the folder %s can't be read: %w", dir, err)
	}
	return nil
}

// checkCertificate looks whether a certificate of the user's can be used.
func checkCertificate(s share.Share) error {
	if s.TLS != share.OwnTLS {
		return nil
	}
	for _, path := range []string{s.TLSCert, s.TLSKey} {
		if _, err := os.ReadFile(path); err != nil {
			return problem.New(problem.Conflict, "%s can't be read (%w): tls_cert and tls_key name the files of your certificate and its key", path, cause(err))
		}
	}
	pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
	if err != nil {
		return problem.New(problem.Conflict, "%s and %s are not a certificate and its key, in PEM (%w)", s.TLSCert, s.TLSKey, err)
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return problem.New(problem.Conflict, "the certificate %s has ended on %s: renew it", s.TLSCert, end.Format(time.DateOnly))
	}
	return nil
}

// cause is the reason of a failed use of a file, without its path.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Conflict, "there is no file %s: check the spelling", path)
	case err != nil:
		return problem.New(problem.Conflict, "the file %s can't be read: %w", path, err)
	case !info.Mode().IsRegular():
		return problem.New(problem.Conflict, "%s is not a file: give the path of a Caddyfile", path)
	}
	return nil
}

func checkCommand(s share.Share) error {
	if s.Dir != "" {
		if err := checkFolder(s.Dir); err != nil {
			return err
		}
	}
	if s.Shell {
		return nil
	}
	program := s.Argv()[0]
	if filepath.Base(program) != program && !filepath.IsAbs(program) {
		program = filepath.Join(s.Dir, program)
	}
	switch _, err := exec.LookPath(program); {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Conflict, "there is no program %s: check the spelling, or give its whole path", s.Argv()[0])
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Conflict, "%s can't be run: give yourself the right to execute it", program)
	}
	return nil
}

//go:build linux || darwin

package dav

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func getAttribute(f *os.File, name string) (data []byte, err error) {
	err = onDescriptor(f, func(fd int) error {
		n, err := unix.Fgetxattr(fd, name, nil)
		if errors.Is(err, noAttribute) || err == nil && n > maxProps {
			return nil
		}
		if err != nil {
			return err
		}
		buf := make([]byte, n)
		if n, err = unix.Fgetxattr(fd, name, buf); err == nil {
			data = buf[:n]
		}
		return err
	})
	return data, err
}

func setAttribute(f *os.File, name string, data []byte) error {
	return onDescriptor(f, func(fd int) error {
		if len(data) > 0 {
			return unix.Fsetxattr(fd, name, data, 0)
		}
		err := unix.Fremovexattr(fd, name)
		if errors.Is(err, noAttribute) {
			return nil
		}
		return err
	})
}

func onDescriptor(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	switch {
	case errors.Is(failed, unix.ENOTSUP), errors.Is(failed, unix.EOPNOTSUPP), errors.Is(failed, unix.ENOSYS):
		return errNoAttributes
	case errors.Is(failed, unix.E2BIG), errors.Is(failed, unix.ERANGE):
		return unix.ENOSPC
	}
	return failed
}

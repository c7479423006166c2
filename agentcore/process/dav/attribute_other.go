//go:build !linux && !darwin

package dav

import "os"

func getAttribute(*os.File, string) ([]byte, error) { return nil, errNoAttributes }
func setAttribute(*os.File, string, []byte) error   { return errNoAttributes }

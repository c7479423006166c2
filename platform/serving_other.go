//go:build !linux && !windows && !darwin

package platform

import "context"

func listening(context.Context) ([]Serving, error) { return nil, ErrUnsupported }

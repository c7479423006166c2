//go:build !linux

package platform

import "context"

func listening(context.Context) ([]Serving, error) { return nil, ErrUnsupported }

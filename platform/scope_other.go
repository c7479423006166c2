//go:build !linux

package platform

import (
	"context"
	"fmt"
)

func enterScope(context.Context, string, string, ScopeLimits) (ScopeLimits, error) {
	return ScopeLimits{}, fmt.Errorf("enter a control group: %w", ErrUnsupported)
}

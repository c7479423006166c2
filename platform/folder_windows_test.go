package platform

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestChooseFolderIsLeft: the window comes, and goes when nobody waits any more.
func TestChooseFolderIsLeft(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := ChooseFolder(ctx, "Sharetray's test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

package platform

import (
	"context"
)

func chooseFolder(context.Context, string) (string, error) { return "", unsupported("choose a folder") }

package platform

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// OpenURL shows a web page in the user's browser. It takes http and https
// addresses only: others could start programs.
func OpenURL(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("open link: %w", err)
	}
	if scheme := strings.ToLower(u.Scheme); scheme != "http" && scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("open link: %q is no plain http or https address", address)
	}
	if err := openURL(ctx, u.String()); err != nil {
		return fmt.Errorf("open %s: %w", u, err)
	}
	return nil
}

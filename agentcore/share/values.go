package share

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore/share/schema"
)

// This file is what single values of keys may be. Errors complete a sentence
// that begins with the value or its key.

func network(text string) (string, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()).String(), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "", errors.New("is none")
	case p != p.Masked():
		return "", fmt.Errorf("is an address in the network %s: write that", p.Masked())
	}
	return p.String(), nil
}

// bcryptHash is what bcrypt makes, with the variants that other programs write.
var bcryptHash = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$`)

func user(text string) (string, error) {
	name, hash, ok := strings.Cut(text, ":")
	switch {
	case !ok || name == "":
		return "", errors.New("is not of that form")
	case strings.ContainsFunc(name, invisible), len(name) > 100:
		return "", errors.New("has a name that can't be typed")
	case !bcryptHash.MatchString(hash):
		return "", errors.New("has no bcrypt hash after the colon: let `sharetray set NAME --password` make it")
	}
	return text, nil
}

func secret(text string) (string, error) {
	if len(text) < 16 || len(text) > 128 || strings.Trim(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
		return "", errors.New(`must be 16 to 128 letters and digits: secret=new makes one`)
	}
	return text, nil
}

func host(text string) (string, error) {
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if strings.Trim(strings.TrimPrefix(name, "*."), "0123456789abcdefghijklmnopqrstuvwxyz-_.") != "" || name == "" || len(name) > 253 {
		return "", errors.New("is no name of a host")
	}
	return name, nil
}

func absoluteDir(text string) (string, error)  { return absolutePath("folder", text) }
func absoluteFile(text string) (string, error) { return absolutePath("file", text) }

func absolutePath(what, text string) (string, error) {
	if !filepath.IsAbs(text) {
		return "", fmt.Errorf("must be the whole path of a %s, not %q", what, text)
	}
	return filepath.Clean(text), nil
}

func urlPath(text string) (string, error) {
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, " #") {
		return "", fmt.Errorf("must be a path such as \"/health\", not %q", text)
	}
	return text, nil
}

func expression(text string) (string, error) {
	if _, err := regexp.Compile(text); err != nil {
		return "", fmt.Errorf("is not a regular expression: %w", err)
	}
	return text, nil
}

func assignment(text string) (string, error) {
	if name, _, ok := strings.Cut(text, "="); !ok || name == "" || strings.ContainsAny(name, " \t") {
		return "", errors.New("is not of the form NAME=VALUE")
	}
	return text, nil
}

func pattern(text string) (string, error) {
	for part := range strings.SplitSeq(filepath.ToSlash(text), "/") {
		if _, err := filepath.Match(part, ""); err != nil {
			return "", errors.New("is no pattern: a bracket is not closed")
		}
	}
	return text, nil
}

func destination(text string) (string, error) {
	if strings.ContainsAny(text, " \t@") {
		return "", errors.New("is no destination")
	}
	return text, nil
}

func visit(text string) (string, error) {
	if !slices.Contains(Visits, text) {
		return "", errors.New("is none of them")
	}
	return text, nil
}

// ListText is the text of a key that is a list, as Set takes it.
func ListText(values ...string) string {
	l := schema.ListOf(values...)
	return schema.Texts(&l, "", nil).Get()
}

// ParseExpiry writes when something is to end as the key "expires" has it: a
// time to go from now, such as "2h", "3d" or "1h30m", a moment, or "never". The
// error completes "expires …".
func ParseExpiry(text string, now time.Time) (string, error) {
	var m Moment
	if schema.Moment(&m).Set(text) == nil {
		return m.String(), nil
	}
	days := 0
	rest := text
	if n, after, ok := strings.Cut(text, "d"); ok {
		var err error
		if days, err = strconv.Atoi(n); err != nil || days < 0 || days > 36500 {
			days, after = -1, "?"
		}
		rest = after
	}
	var d time.Duration
	if rest != "" {
		var err error
		if d, err = time.ParseDuration(rest); err != nil {
			return "", fmt.Errorf(`must be "never", a time to go such as "2h" or "3d", or a moment such as "2026-12-31 18:00", not %q`, text)
		}
	}
	if d += time.Duration(days) * 24 * time.Hour; d <= 0 {
		return "", fmt.Errorf("must lie ahead, not %q", text)
	}
	return Moment(now.Add(d).Unix()).String(), nil
}

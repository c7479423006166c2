package share

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"sharetray/agentcore/problem"
)

// NormalizeTarget returns the one way to write a target: the cleaned path of a
// folder, the URL of an app ("http://127.0.0.1:3000" for "3000"). The error is
// a Problem that says what to write instead.
func NormalizeTarget(kind Kind, target string) (string, error) {
	normal, err := normalize(kind, target)
	if err != nil {
		return "", problem.New(problem.Invalid, "the target %w", err)
	}
	return normal, nil
}

// normalize is NormalizeTarget with an error that completes "target …".
func normalize(kind Kind, target string) (string, error) {
	if kind == Proxy {
		return normalizeURL(strings.TrimSpace(target))
	}
	switch {
	case target == "":
		return "", errors.New("is empty: give the folder to share")
	case !utf8.ValidString(target), strings.ContainsRune(target, 0):
		return "", fmt.Errorf("%q is not a path that can be kept in a text file: rename the folder", target)
	case !filepath.IsAbs(target):
		return "", fmt.Errorf("%q is not an absolute path: write the whole path of the folder", target)
	}
	return filepath.Clean(target), nil
}

func normalizeURL(target string) (string, error) {
	shown := target // in errors, which reach logs: without a password
	if i := strings.LastIndexByte(target, '@'); i >= 0 {
		shown = "…" + target[i:]
	}
	switch {
	case target == "":
		return "", errors.New("is empty: give the port or the URL of the app, such as 3000 or http://localhost:3000")
	case strings.Trim(target, "0123456789") == "":
		port, err := parsePort(target)
		if err != nil {
			return "", fmt.Errorf("%q is no port: a port is a number from 1 to 65535", shown)
		}
		return fmt.Sprintf("http://127.0.0.1:%d", port), nil
	case !strings.Contains(target, "://"):
		return "", withoutScheme(target, shown)
	case strings.ContainsFunc(target, invisible), strings.Contains(target, " "):
		return "", fmt.Errorf("%q contains a space or an invisible character: write it without", shown)
	}
	u, err := url.Parse(target)
	if err != nil {
		// url.Parse repeats the target, and "net/url" means nothing to a user.
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err
		}
		return "", fmt.Errorf("%q is not a URL (%w): write one such as http://localhost:3000", shown, err)
	}
	origin := url.URL{Scheme: u.Scheme, Host: u.Host}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return "", fmt.Errorf("%q has the scheme %s: a proxy needs http, https or h2c", shown, u.Scheme)
	case u.User != nil:
		return "", fmt.Errorf("%q holds a user or a password: write %s, and let the app ask for it", shown, origin.String())
	case u.Hostname() == "":
		return "", fmt.Errorf("%q names no host: write %s://127.0.0.1%s", shown, u.Scheme, u.Host)
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !validPort(u.Port()):
		return "", fmt.Errorf("%q has a bad port: a port is a number from 1 to 65535", shown)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "", strings.HasSuffix(target, "#"):
		return "", fmt.Errorf("%q goes on after the host, but a proxy shares the whole app: write %s", shown, origin.String())
	}
	return origin.String(), nil
}

// withoutScheme says what to write for a target such as "localhost:3000".
func withoutScheme(target, shown string) error {
	host, rest, _ := strings.Cut(strings.TrimPrefix(target, "//"), "/")
	if u, err := url.Parse("http://" + host); err == nil && u.User == nil && rest == "" {
		switch port := u.Port(); {
		case u.Hostname() == "" && validPort(port):
			return fmt.Errorf("%q has no scheme: write only the port: %s", shown, port)
		case validPort(port) && thisComputer(u.Hostname()):
			return fmt.Errorf("%q has no scheme: write http://%s, or only the port: %s", shown, host, port)
		case u.Hostname() != "" && (port == "" && !strings.HasSuffix(host, ":") || validPort(port)):
			return fmt.Errorf("%q has no scheme: write http://%s", shown, host)
		}
	}
	return fmt.Errorf("%q is neither a port nor a URL: write one such as 3000 or http://localhost:3000", shown)
}

func validPort(text string) bool {
	_, err := parsePort(text)
	return err == nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// endpoint splits a normal proxy target.
func endpoint(target string) (host string, port uint16) {
	u, err := url.Parse(target)
	if err != nil {
		return "", 0
	}
	if port, err = parsePort(u.Port()); err != nil {
		port = 80
		if u.Scheme == "https" {
			port = 443
		}
	}
	return u.Hostname(), port
}

// pointsAt reports whether a normal proxy target is the given port of this
// computer. This computer's addresses in its networks it can't know.
func pointsAt(target string, port uint16) bool {
	host, p := endpoint(target)
	return p == port && thisComputer(host)
}

func thisComputer(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback() || ip.Unmap().IsUnspecified()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

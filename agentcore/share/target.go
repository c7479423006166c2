package share

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"sharetray/agentcore/problem"
)

// targetWant is what a target may be; it completes "target must be …".
var targetWant = map[Kind]string{
	Web:     "the path of a folder",
	Drive:   "the path of a folder",
	Proxy:   "the URL or port of an app",
	Caddy:   "the path of a Caddyfile",
	TCP:     "an address such as 127.0.0.1:5432, or a port",
	UDP:     "an address such as 127.0.0.1:53, or a port",
	SOCKS:   "left out",
	Command: "a command",
}

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
	switch kind {
	case Proxy:
		return normalizeURL(strings.TrimSpace(target))
	case TCP, UDP:
		return normalizeAddress(kind, strings.TrimSpace(target))
	case Command:
		return normalizeCommand(target)
	case SOCKS:
		if target != "" {
			return "", fmt.Errorf("%q has no place: a SOCKS proxy has destinations instead", target)
		}
		return "", nil
	case Caddy:
		return normalizePath("file", target)
	}
	return normalizePath("folder", target)
}

func normalizePath(what, target string) (string, error) {
	switch {
	case target == "":
		return "", fmt.Errorf("is empty: give the %s to share", what)
	case !utf8.ValidString(target), strings.ContainsRune(target, 0):
		return "", fmt.Errorf("%q is not a path that can be kept in a text file: rename the %s", target, what)
	case !filepath.IsAbs(target):
		return "", fmt.Errorf("%q is not an absolute path: write the whole path of the %s", target, what)
	}
	return filepath.Clean(target), nil
}

// unixTarget is how the target of a TCP share begins that is a Unix socket.
const unixTarget = "unix:"

func normalizeAddress(kind Kind, target string) (string, error) {
	if path, ok := strings.CutPrefix(target, unixTarget); ok && kind == TCP {
		path, err := normalizePath("socket", path)
		return unixTarget + path, err
	}
	for _, scheme := range []string{"tcp://", "udp://"} {
		target = strings.TrimSuffix(strings.TrimPrefix(target, scheme), "/")
	}
	host, port := "", target
	if strings.Contains(target, ":") {
		var err error
		if host, port, err = net.SplitHostPort(target); err != nil {
			return "", fmt.Errorf("%q is not an address: write it as HOST:PORT, an IPv6 one as [::1]:5432, or only the port", target)
		}
	}
	switch {
	case target == "":
		return "", errors.New("is empty: give the port or the address to forward to, such as 5432 or db.example.org:5432")
	case !validPort(port):
		return "", fmt.Errorf("%q has no port: write it as HOST:PORT, or only the port, from 1 to 65535", target)
	case strings.ContainsFunc(host, invisible), strings.ContainsAny(host, " /@[]{}"):
		return "", fmt.Errorf("%q is not an address: write it as HOST:PORT, such as 127.0.0.1:5432", target)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	n, _ := parsePort(port)
	return net.JoinHostPort(host, strconv.Itoa(int(n))), nil
}

func normalizeCommand(target string) (string, error) {
	target = strings.TrimSpace(target)
	switch {
	case target == "":
		return "", errors.New("is empty: give the command to run")
	case !utf8.ValidString(target), strings.ContainsAny(target, "\x00\n\r"):
		return "", fmt.Errorf("%q has a line break or a byte in it that is no text: put it in a script, and share that", target)
	}
	return target, nil
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

// endpoint splits a normal target of a kind that has an address.
func endpoint(kind Kind, target string) (host string, port uint16) {
	if kind == TCP || kind == UDP {
		host, text, _ := net.SplitHostPort(target)
		port, _ := parsePort(text)
		return host, port
	}
	u, err := url.Parse(target)
	if err != nil || kind != Proxy {
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

// pointsAt reports whether a normal target is the given port of this computer.
// This computer's addresses in its networks it can't know.
func pointsAt(kind Kind, target string, port uint16) bool {
	host, p := endpoint(kind, target)
	return p == port && thisComputer(host)
}

func thisComputer(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback() || ip.Unmap().IsUnspecified()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

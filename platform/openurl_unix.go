//go:build !windows && !darwin

package platform

var openers = [][]string{{"xdg-open"}, {"gio", "open"}, {"sensible-browser"}}

const openerHint = "xdg-open is in the package xdg-utils"

package upload

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sharetray/agentcore/share"
)

// maxName is the longest name, in bytes, that file systems have in common.
const maxName = 255

// SafeName returns the name by which a file is kept whose sender calls it raw: the
// last part of a path, in the one way to write its accents (NFC). A name that no
// file should have, on whichever system, is an error, which completes "the name
// …".
func SafeName(raw string) (string, error) {
	if !utf8.ValidString(raw) {
		return "", errors.New("is not readable text: rename the file")
	}
	name := raw[strings.LastIndexAny(raw, `/\`)+1:]
	name = norm.NFC.String(name)
	switch {
	case name == "":
		return "", errors.New("is empty: give the file a name")
	case len(name) > maxName:
		return "", fmt.Errorf("takes %d bytes: shorten it to at most %d", len(name), maxName)
	case strings.ContainsFunc(name, unprintable):
		return "", errors.New("contains an invisible character: rename the file")
	case name[0] == '.':
		return "", errors.New("begins with a dot: hidden files are not taken")
	case strings.ContainsAny(name, `<>:"|?*`):
		return "", errors.New(`contains one of < > : " | ? *, which not every system can have: rename the file`)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || name[0] == ' ':
		return "", errors.New("begins or ends with a space, or ends with a dot: rename the file")
	case share.IsDeviceName(name):
		return "", errors.New("is that of a device on Windows: rename the file")
	}
	return name, nil
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

// numbered is the name that is tried after so many were taken: "cat (2).jpg".
func numbered(name string, n int) string {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 16 {
		stem, ext = name[:i], name[i:]
	}
	tail := fmt.Sprintf(" (%d)%s", n, ext)
	for len(stem)+len(tail) > maxName {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return stem + tail
}

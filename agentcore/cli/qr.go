package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/skip2/go-qrcode"

	"sharetray/agentcore"
	"sharetray/agentcore/problem"
)

// quietZone is the border that a QR code needs, in modules (ISO/IEC 18004 asks for
// 4; cameras of phones do with 2, and terminals are narrow).
const quietZone = 2

// printQR prints a share's link as a QR code.
func (a *app) printQR(st agentcore.Status) error {
	if len(st.URLs) == 0 {
		return problem.New(problem.Conflict, "%s has no link yet: `sharetray start %s` starts it", st.Name, quoted(st.Name))
	}
	_, terminal := terminalOf(a.Out)
	return writeQR(a.Out, st.URLs[0], terminal)
}

// writeQR draws text as a QR code of half blocks: two rows of modules are a line.
// On a terminal it sets its own colours, so that it is dark on light on every one.
func writeQR(w io.Writer, text string, terminal bool) error {
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return problem.New(problem.Conflict, "the link is too long for a QR code: %s (%w)", text, err)
	}
	code.DisableBorder = true
	modules := code.Bitmap()
	dark := func(x, y int) bool {
		x, y = x-quietZone, y-quietZone
		return y >= 0 && y < len(modules) && x >= 0 && x < len(modules) && modules[y][x]
	}
	size := len(modules) + 2*quietZone
	begin, end := "", ""
	if terminal {
		begin, end = "\x1b[30;107m", "\x1b[0m" // black on bright white
	}
	halves := map[[2]bool]string{{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█"}
	if !terminal && !isUTF8Locale() {
		halves = nil
	}
	var out bytes.Buffer
	for y := 0; y < size; y += 2 {
		if halves == nil { // two characters are about a square
			for _, row := range []int{y, y + 1} {
				for x := range size {
					out.WriteString(map[bool]string{true: "##", false: "  "}[dark(x, row)])
				}
				out.WriteByte('\n')
			}
			continue
		}
		out.WriteString(begin)
		for x := range size {
			out.WriteString(halves[[2]bool{dark(x, y), dark(x, y+1)}])
		}
		out.WriteString(end + "\n")
	}
	_, err = out.WriteTo(w)
	if err != nil {
		return fmt.Errorf("print the QR code: %w", err)
	}
	return nil
}

// isUTF8Locale reports whether this environment says that text is UTF-8, or says
// nothing.
func isUTF8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(os.Getenv(name)); v != "" {
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

package platform

import (
	"strings"
	"testing"
)

func TestInert(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"$(reboot)", "`n", `"]]>`, "a”b", "<b>&amp;", `\" & (do shell script "reboot") & "`, "\x00\x1b[31m", "a\r\nb", "$env:PATH",
	} {
		if got := inert(in); strings.ContainsAny(got, "$`\"“”„<>&\\\x00\x1b\r\n") || strings.Contains(got, "]]>") {
			t.Errorf("inert(%q) = %q", in, got)
		}
	}
	if got := inert("Photos crashed and is back: 50 % of café, 写真 🎉"); got != "Photos crashed and is back: 50 % of café, 写真 🎉" {
		t.Errorf("plain text became %q", got)
	}
	if got := printable("a\tb\nc\x07\xff", true); got != "a b\nc" {
		t.Errorf("printable: %q", got)
	}
}

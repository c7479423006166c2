package cli

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestQR: what is printed can be read by something that reads QR codes.
func TestQR(t *testing.T) {
	t.Parallel()
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Fatal("zbarimg is needed: install the Debian package zbar-tools")
	}
	for _, terminal := range []bool{false, true} {
		for _, link := range []string{"http://127.0.0.1:23655/", "https://host.local:1/s/" + strings.Repeat("abcdefghij", 12) + "/"} {
			var out bytes.Buffer
			if err := writeQR(&out, link, terminal); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "qr.png")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := png.Encode(f, drawn(out.String())); err != nil {
				t.Fatal(err)
			}
			f.Close()
			got, err := exec.Command(zbar, "--raw", "-q", path).Output()
			if err != nil || strings.TrimSpace(string(got)) != link {
				t.Errorf("%v: %q is read from\n%s", err, got, out.String())
			}
		}
	}
	if err := writeQR(&bytes.Buffer{}, strings.Repeat("x", 5000), false); err == nil {
		t.Error("5,000 letters are a QR code")
	}
}

// drawn is what a terminal shows of half blocks, dark on light.
func drawn(text string) image.Image {
	text = strings.NewReplacer("\x1b[30;107m", "", "\x1b[0m", "").Replace(text)
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	const scale = 8
	img := image.NewGray(image.Rect(0, 0, len([]rune(lines[0]))*scale, len(lines)*2*scale))
	for y := range img.Rect.Max.Y {
		for x := range img.Rect.Max.X {
			r := []rune(lines[y/scale/2])[x/scale]
			upper := y/scale%2 == 0
			if r == '█' || r == '▀' && upper || r == '▄' && !upper {
				img.SetGray(x, y, color.Gray{})
			} else {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return img
}

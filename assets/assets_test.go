package assets

import (
	"bytes"
	"encoding/binary"
	"image/png"
	"runtime"
	"testing"
)

func TestEveryStateHasItsPictures(t *testing.T) {
	t.Parallel()
	seen := map[string]State{}
	for _, s := range States {
		for _, size := range []int{16, 22, 32, 48, 64} {
			img, err := png.Decode(bytes.NewReader(PNG(s, size)))
			if err != nil || img.Bounds().Dx() != size || img.Bounds().Dy() != size {
				t.Fatalf("%s at %d: %v", s, size, err)
			}
			// A tray host may or may not take colours as multiplied by alpha:
			// only black is the same for both.
			for y := range size {
				for x := range size {
					if r, g, b, a := img.At(x, y).RGBA(); a != 0xffff && r|g|b != 0 {
						t.Fatalf("%s at %d: the half transparent pixel %d,%d is not black", s, size, x, y)
					}
				}
			}
		}
		icon := Icon(s)
		if other, twice := seen[string(icon)]; twice {
			t.Errorf("%s looks like %s", s, other)
		}
		seen[string(icon)] = s
		if isICO := bytes.HasPrefix(icon, []byte{0, 0, 1, 0}); isICO != (runtime.GOOS == "windows") {
			t.Errorf("%s has the wrong format for %s", s, runtime.GOOS)
		}
	}
	if PNG(Well, 17) != nil {
		t.Error("a picture of a size that there is not")
	}
}

func TestICO(t *testing.T) {
	t.Parallel()
	for _, s := range States {
		ico := read("icons/" + string(s) + ".ico")
		if n := binary.LittleEndian.Uint16(ico[4:]); n != 5 {
			t.Fatalf("%s.ico has %d pictures", s, n)
		}
		for i := range 5 {
			entry := ico[6+16*i:]
			size, at := binary.LittleEndian.Uint32(entry[8:]), binary.LittleEndian.Uint32(entry[12:])
			img, err := png.DecodeConfig(bytes.NewReader(ico[at : at+size]))
			if err != nil || img.Width != int(entry[0]) {
				t.Errorf("%s.ico, picture %d: %v, %v", s, i, img, err)
			}
		}
	}
}

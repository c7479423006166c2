package main

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// What is in icons/ is what is drawn here. If this fails: go generate ./assets
func TestTheFilesAreTheDrawings(t *testing.T) {
	t.Parallel()
	for _, d := range drawings {
		file, err := os.ReadFile(filepath.Join("..", "icons", d.name+".svg"))
		if err != nil || string(file) != svg(d) {
			t.Errorf("%s.svg is not what is drawn (%v)", d.name, err)
		}
		for _, size := range sizes {
			name := fmt.Sprintf("%s-%d.png", d.name, size)
			file, err := os.ReadFile(filepath.Join("..", "icons", name))
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(file)) // encoders may come to differ, pixels may not
			if err != nil {
				t.Fatal(err)
			}
			drawn := render(d, size)
			for y := range size {
				for x := range size {
					if r, g, b, a := img.At(x, y).RGBA(); !same(r, g, b, a)(drawn.At(x, y).RGBA()) {
						t.Fatalf("%s differs at %d,%d", name, x, y)
					}
				}
			}
		}
	}
}

func same(r, g, b, a uint32) func(r, g, b, a uint32) bool {
	return func(r2, g2, b2, a2 uint32) bool { return r == r2 && g == g2 && b == b2 && a == a2 }
}

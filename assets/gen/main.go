// Command gen draws Sharetray's icons: the SVG sources, and from the same
// description the PNG and ICO files that are embedded. Run it with
// `go generate ./assets`.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
)

var sizes = []int{16, 22, 32, 48, 64}

func main() {
	if err := generate("icons"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(dir string) error {
	for _, d := range drawings {
		files := map[string][]byte{d.name + ".svg": []byte(svg(d))}
		var pngs [][]byte
		for _, size := range sizes {
			var b bytes.Buffer
			if err := png.Encode(&b, render(d, size)); err != nil {
				return fmt.Errorf("encode %s at %d pixels: %w", d.name, size, err)
			}
			files[fmt.Sprintf("%s-%d.png", d.name, size)] = b.Bytes()
			pngs = append(pngs, b.Bytes())
		}
		files[d.name+".ico"] = ico(pngs)
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// ico packs PNG pictures, one for each of sizes, into one Windows icon file.
func ico(pngs [][]byte) []byte {
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a Buffer never fails
	put([]uint16{0, 1, uint16(len(pngs))})
	offset := 6 + 16*len(pngs)
	for i, p := range pngs {
		put([]uint8{uint8(sizes[i]), uint8(sizes[i]), 0, 0})
		put([]uint16{1, 32})
		put([]uint32{uint32(len(p)), uint32(offset)})
		offset += len(p)
	}
	for _, p := range pngs {
		b.Write(p)
	}
	return b.Bytes()
}

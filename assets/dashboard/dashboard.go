// Package dashboard holds the templates, the style and the script of the page with
// which people manage their shares.
//
// It must not know what is on the page, nor in which language.
package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
)

//go:embed *.html
var Templates embed.FS

//go:embed style.css script.js icon.svg
var files embed.FS

// File is one that browsers ask for by name.
type File struct {
	Type string
	Data []byte
	ETag string
}

// Files are those beside the pages, by name.
var Files = map[string]File{
	"style.css": file("style.css", "text/css; charset=utf-8"),
	"script.js": file("script.js", "text/javascript; charset=utf-8"),
	"icon.svg":  file("icon.svg", "image/svg+xml"),
}

func file(name, kind string) File {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the program
	}
	sum := sha256.Sum256(data)
	return File{Type: kind, Data: data, ETag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// Package pages holds the pages that visitors of a share see when there is
// nothing else to show them: the app is down, the folder is gone, no such file.
//
// It must not know why: it is given words and puts them on a page that needs
// nothing but itself.
package pages

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var css string

//go:embed reload.js
var script string

var page = template.Must(template.New("page").Parse(pageHTML))

// CSP is the Content-Security-Policy of every page: its own style and its own
// script, and nothing else.
var CSP = "default-src 'none'; style-src '" + hash(css) + "'; script-src '" + hash(script) +
	"'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// Page is what a page says.
type Page struct {
	Title  string // what is the matter, in a few words
	Text   string // a sentence or two
	Reload bool   // look every other second whether it has passed, and reload then
	Links  []Link // where to go on
}

// Link is a way to go on.
type Link struct{ Text, To string }

// Write writes the page as HTML.
func Write(w io.Writer, p Page) error {
	return page.Execute(w, struct {
		Page
		CSS    template.CSS
		Script template.JS
	}{p, template.CSS(css), template.JS(script)})
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

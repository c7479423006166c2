package pages

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed upload.html
var uploadHTML string

//go:embed upload.css
var uploadCSS string

//go:embed upload.js
var uploadScript string

var upload = template.Must(template.New("upload").Parse(uploadHTML))

// UploadCSP is the Content-Security-Policy of the page on which files are added.
var UploadCSP = "default-src 'none'; style-src '" + hash(css+uploadCSS) + "'; script-src '" + hash(uploadScript) +
	"'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// Upload is what the page says on which files are added to a folder.
type Upload struct {
	Folder      string // its name; "" is the whole share
	Listing     bool   // visitors may see what is in it
	Most        int64  // bytes of one file; 0: no limit
	MostInWords string
	Said        string // what became of the form that was sent
	Wrong       bool   // that is why it was not taken
}

// WriteUpload writes the page as HTML.
func WriteUpload(w io.Writer, p Upload) error {
	return upload.Execute(w, struct {
		Upload
		CSS    template.CSS
		Script template.JS
	}{p, template.CSS(css + uploadCSS), template.JS(uploadScript)})
}

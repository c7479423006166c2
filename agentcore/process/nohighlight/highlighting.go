// Package highlighting stands in for the goldmark extension of this name, by a
// replace directive of Sharetray's go.mod. Caddy's templates name it. The
// original loads the descriptions of 300 languages and 70 styles as the program
// starts: half of what a share process takes to start, in each, for what hardly
// any page asks for. Here a code block of a markdown page keeps its language as
// a class (language-go), as goldmark writes it, and has no colours of its own.
//
// It has what Caddy uses, and no more.
package highlighting

import (
	"github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/yuin/goldmark"
)

// Option is an option of NewHighlighting.
type Option struct{}

// WithFormatOptions says how colours are written, of which there are none.
func WithFormatOptions(...html.Option) Option { return Option{} }

// NewHighlighting returns an extension that changes nothing.
func NewHighlighting(...Option) goldmark.Extender { return none{} }

type none struct{}

func (none) Extend(goldmark.Markdown) {}

package main

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strings"
)

// The icons are drawn on a square of 64 units. Every stroke is drawn twice:
// first wider and black, as an outline that sets the sign off from light
// panels, then in its colour. Only the black may be half transparent, at the
// outer edge: tray hosts disagree whether colours come multiplied by alpha, and
// black is the one colour for which that makes no difference.
const (
	units   = 64.0
	outline = 3.0
)

type point struct{ x, y float64 }

// A stroke is what a round pen leaves along a line of points.
type stroke struct {
	points []point
	width  float64
	col    color.RGBA
}

type drawing struct {
	name, title string
	strokes     []stroke
}

var (
	white = color.RGBA{0xf6, 0xf7, 0xf9, 0xff}
	grey  = color.RGBA{0xb4, 0xba, 0xc4, 0xff}
	green = color.RGBA{0x35, 0xd0, 0x7f, 0xff}
	amber = color.RGBA{0xff, 0xb7, 0x2b, 0xff}
	red   = color.RGBA{0xff, 0x55, 0x4f, 0xff}
)

// drawings are the four states: a tray that holds something up. What it holds
// differs in shape as well as in colour.
var drawings = []drawing{
	{"well", "all well: an arrow rises from the tray", []stroke{
		tray(white),
		{[]point{{32, 40}, {32, 12}}, 8, green},
		{[]point{{19, 24.5}, {32, 11.5}, {45, 24.5}}, 8, green},
	}},
	{"working", "working: three dots wait above the tray", []stroke{
		tray(white),
		dot(11, 18, 13, amber), dot(32, 18, 13, amber), dot(53, 18, 13, amber),
	}},
	{"trouble", "trouble: an exclamation mark above the tray", []stroke{
		tray(white),
		{[]point{{32, 9.5}, {32, 24}}, 12, red},
		dot(32, 41.5, 11, red),
	}},
	{"nothing", "nothing shared: an empty tray", []stroke{
		{[]point{{8, 30}, {8, 56}, {56, 56}, {56, 30}}, 8, grey},
		{[]point{{24, 40}, {40, 40}}, 6, grey},
	}},
}

func tray(c color.RGBA) stroke {
	return stroke{[]point{{8, 39}, {8, 56}, {56, 56}, {56, 39}}, 8, c}
}

// dot is the shortest stroke there is.
func dot(x, y, diameter float64, c color.RGBA) stroke {
	return stroke{[]point{{x, y}, {x, y + 0.01}}, diameter, c}
}

// distance from p to the stroke's middle line.
func (s stroke) distance(p point) float64 {
	best := math.Inf(1)
	for i := 1; i < len(s.points); i++ {
		best = min(best, segment(p, s.points[i-1], s.points[i]))
	}
	return best
}

func segment(p, a, b point) float64 {
	dx, dy := b.x-a.x, b.y-a.y
	t := ((p.x-a.x)*dx + (p.y-a.y)*dy) / (dx*dx + dy*dy)
	t = max(0, min(1, t))
	return math.Hypot(p.x-a.x-t*dx, p.y-a.y-t*dy)
}

// render draws d at size x size pixels.
func render(d drawing, size int) *image.NRGBA {
	const sub = 8 // sub x sub samples a pixel
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	scale := units / float64(size)
	for py := range size {
		for px := range size {
			var r, g, b, covered int
			for sy := range sub {
				for sx := range sub {
					p := point{
						(float64(px) + (float64(sx)+0.5)/sub) * scale,
						(float64(py) + (float64(sy)+0.5)/sub) * scale,
					}
					c, ok := d.at(p)
					if !ok {
						continue
					}
					covered++
					r, g, b = r+int(c.R), g+int(c.G), b+int(c.B)
				}
			}
			switch {
			case covered == sub*sub:
				img.SetNRGBA(px, py, color.NRGBA{uint8(r / covered), uint8(g / covered), uint8(b / covered), 0xff})
			case covered > 0: // the outer edge: black, see outline
				img.SetNRGBA(px, py, color.NRGBA{A: uint8(covered * 0xff / (sub * sub))})
			}
		}
	}
	return img
}

// at returns the colour at p, and whether anything is there.
func (d drawing) at(p point) (color.RGBA, bool) {
	c, ok := color.RGBA{A: 0xff}, false
	for _, s := range d.strokes {
		switch dist := s.distance(p); {
		case dist <= s.width/2:
			return s.col, true
		case dist <= s.width/2+outline:
			ok = true
		}
	}
	return c, ok
}

// svg writes the same drawing as text.
func svg(d drawing) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" fill="none" stroke-linecap="round" stroke-linejoin="round">`+"\n", units, units)
	fmt.Fprintf(&b, "  <title>Sharetray, %s</title>\n", d.title)
	for _, layer := range []float64{2 * outline, 0} {
		for _, s := range d.strokes {
			col := "#000000"
			if layer == 0 {
				col = fmt.Sprintf("#%02x%02x%02x", s.col.R, s.col.G, s.col.B)
			}
			fmt.Fprintf(&b, `  <path stroke="%s" stroke-width="%g" d="%s"/>`+"\n", col, s.width+layer, path(s.points))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func path(points []point) string {
	var b strings.Builder
	for i, p := range points {
		op := "L"
		if i == 0 {
			op = "M"
		}
		fmt.Fprintf(&b, "%s%s %s", op, short(p.x), short(p.y))
	}
	return b.String()
}

func short(f float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".")
}

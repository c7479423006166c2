package schema

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// none is the text of a limit that is not set.
const none = "none"

// units are how sizes are written, in the order in which formatSize tries them.
// A lower-case b would be read as bits by some, so it is none of them.
var units = []struct {
	name string
	size float64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}, {"", 1},
}

// amount is a number in decimal, and what it counts.
var amount = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*|%)$`)

// Limit is a number of things from least to most, or 0: as many as one likes.
func Limit(field *int, least, most int) Value {
	want := fmt.Sprintf("0 (no limit) or a whole number from %d to %d", least, most)
	return parsed(field, Integer, want, strconv.Itoa, func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && (n == 0 || n >= least && n <= most)
	})
}

// Size is a number of bytes from least to most, written as in "1.5GiB", or 0,
// which is written "none". In a file, a number without quotes counts bytes.
func Size[N ~int64](field *N, least, most N) Value {
	want := fmt.Sprintf(`"none" or a size from %s to %s, such as "256MiB"`, FormatSize(int64(least)), FormatSize(int64(most)))
	return size(field, "", want, least, most)
}

// Rate is a number of bytes in a second, written as in "2MB/s"; the rest is as
// with Size.
func Rate[N ~int64](field *N, least, most N) Value {
	want := fmt.Sprintf(`"none" or a number of bytes in a second from %s/s to %s/s, such as "2MB/s"`, FormatSize(int64(least)), FormatSize(int64(most)))
	return size(field, "/s", want, least, most)
}

func size[N ~int64](field *N, suffix, want string, least, most N) Value {
	format := func(n N) string {
		if n == 0 {
			return none
		}
		return FormatSize(int64(n)) + suffix
	}
	v := parsed(field, String, want, format, func(text string) (N, bool) {
		n, ok := parseAmount(strings.TrimSuffix(text, suffix), func(unit string) float64 {
			for _, u := range units {
				if u.name == unit {
					return u.size
				}
			}
			return 0
		})
		return N(n), ok && (n == 0 || n >= float64(least) && n <= float64(most))
	})
	v.Bare = true
	return v
}

// Thousandths is a number of things that can be had in part, from least to
// most thousandths of one, written as in "0.5" or "50%", or 0, which is written
// "none". In a file it may stand without quotes.
func Thousandths[N ~int](field *N, least, most N) Value {
	want := fmt.Sprintf(`"none" or a number from %s to %s, such as "0.5", or "50%%"`, FormatThousandths(int(least)), FormatThousandths(int(most)))
	format := func(n N) string {
		if n == 0 {
			return none
		}
		return FormatThousandths(int(n))
	}
	v := parsed(field, String, want, format, func(text string) (N, bool) {
		n, ok := parseAmount(text, func(unit string) float64 {
			return map[string]float64{"": 1000, "%": 10}[unit]
		})
		return N(n), ok && (n == 0 || n >= float64(least) && n <= float64(most))
	})
	v.Bare = true
	return v
}

// parseAmount reads a number with a unit, whose size is 0 if there is none of
// that name. A number that is not 0 is never rounded to it.
func parseAmount(text string, sizeOf func(unit string) float64) (float64, bool) {
	if text == none {
		return 0, true
	}
	m := amount.FindStringSubmatch(text)
	if m == nil || sizeOf(m[2]) == 0 {
		return 0, false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	whole := math.Round(n * sizeOf(m[2]))
	return whole, err == nil && whole < 1<<53 && (whole > 0 || n == 0)
}

// FormatSize writes a number of bytes exactly, in the largest unit that does.
func FormatSize(n int64) string {
	for _, u := range units {
		if size := int64(u.size); n >= size && n%size == 0 {
			return strconv.FormatInt(n/size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// FormatThousandths writes 500 as 0.5.
func FormatThousandths(n int) string {
	return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64)
}

package record

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Revivals reads how often an agent was started by its share processes since one
// has lasted. It is a count, not a list of times: those change with the clock.
func Revivals(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// SetRevivals keeps that count. The file is also a lock, so that it is written in
// place.
func SetRevivals(path string, n int) error {
	return os.WriteFile(path, fmt.Appendln(nil, n), 0o600)
}

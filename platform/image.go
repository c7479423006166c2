package platform

import (
	"fmt"
	"os"
	"sync"
)

// ImageID names the file that this process runs, so that another one that was
// put in its place has another name. "" if it can't be known.
var ImageID = sync.OnceValue(func() string {
	id, err := statImage()
	if err != nil {
		return ""
	}
	return id
})

// FileID names the file at path as ImageID does.
func FileID(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%d-%d", fileNumber(info), info.Size(), info.ModTime().UnixNano()), nil
}

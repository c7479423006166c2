// Package record is what a share process leaves on disk about itself, so that an
// agent which has not started it finds it: a small file, written by the process
// when it begins to serve, and removed by whoever sees its end.
//
// It must not know what an agent makes of a record. A record proves nothing:
// what answers on the link does.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/platform"
)

// Format is the version of the file's format. A record with a higher one is
// left to the program that wrote it.
const Format = 1

// Record is one share process.
type Record struct {
	Format  int        `json:"format"`
	Share   share.Name `json:"share"`
	PID     int        `json:"pid"`
	Started string     `json:"started"` // platform.ProcessStart: with it, PID is nobody else's
	Nonce   string     `json:"nonce"`
	Link    string     `json:"link"`    // the path of its link
	Version string     `json:"version"` // of the program
	Since   time.Time  `json:"since"`   // when it began to serve
}

const extension = ".json"

// IsName reports whether a file of that name is a record.
func IsName(name string) bool { return strings.HasSuffix(name, extension) }

// maxBytes bounds a record that is read.
const maxBytes = 64 << 10

// Path is where the process with the link at linkPath keeps its record in dir.
func Path(dir, linkPath string) string {
	return filepath.Join(dir, filepath.Base(linkPath)+extension)
}

// Write leaves r in dir, wholly or not at all.
func Write(dir string, r Record) error {
	r.Format = Format
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return store.WriteFile(Path(dir, r.Link), append(data, '\n'), 0o600)
}

// Remove takes away the record of the process with the link at linkPath.
func Remove(dir, linkPath string) { os.Remove(Path(dir, linkPath)) }

// Found is a file in the folder of records.
type Found struct {
	Path   string
	Record Record
	Err    error // why it can't be used
}

// List reads what is in dir. A folder that is not there has no records.
func List(dir string) ([]Found, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the folder of records: %w", err)
	}
	var list []Found
	for _, e := range entries {
		if !IsName(e.Name()) {
			continue
		}
		f := Found{Path: filepath.Join(dir, e.Name())}
		f.Record, f.Err = Read(f.Path)
		if !errors.Is(f.Err, fs.ErrNotExist) { // it has ended meanwhile
			list = append(list, f)
		}
	}
	return list, nil
}

// ErrNewer says that a record was written by a newer version of the program.
var ErrNewer = errors.New("it was written by a newer version")

// ErrForeign says that a record belongs to another user, or that others may
// write it.
var ErrForeign = errors.New("it is not this user's alone")

// Read returns the record at path.
func Read(path string) (Record, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Record{}, err
	}
	if !info.Mode().IsRegular() {
		return Record{}, fmt.Errorf("it is not a file but a %s", info.Mode().Type())
	}
	if !platform.IsOwn(info) {
		return Record{}, ErrForeign
	}
	f, err := os.Open(path)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return Record{}, err
	}
	return decode(path, data)
}

func decode(path string, data []byte) (r Record, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		var head struct {
			Format int `json:"format"`
		}
		if json.Unmarshal(data, &head) == nil && head.Format > Format {
			return Record{}, ErrNewer
		}
		return Record{}, fmt.Errorf("it is not a record: %w", err)
	}
	switch {
	case r.Format > Format:
		return Record{}, ErrNewer
	case r.Format < 1 || r.PID < 2 || r.Nonce == "" || r.Started == "" || r.Share == (share.Name{}):
		return Record{}, errors.New("it is not a whole record")
	case Path(filepath.Dir(path), r.Link) != path || !filepath.IsAbs(r.Link):
		return Record{}, errors.New("it names the link of another")
	}
	return r, nil
}

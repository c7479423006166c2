package store

import (
	"os"
	"strings"
	"testing"

	"sharetray/agentcore/share"
)

// TestDocsNameEveryKey: docs/files.md is the one list of keys that people read.
func TestDocsNameEveryKey(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/files.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(b)
	for _, k := range share.Keys {
		if !strings.Contains(docs, "| `"+k.Name+"` |") || !strings.Contains(docs, k.Doc) {
			t.Errorf("docs/files.md does not say of %s: %s", k.Name, k.Doc)
		}
	}
	d := DefaultSettings()
	for _, k := range SettingsKeys {
		if row := "| `" + k.Name + "` | " + k.Field(&d).Literal() + " | " + k.Doc + " |"; !strings.Contains(docs, row) {
			t.Errorf("docs/files.md lacks the row %s", row)
		}
	}
}

package dashboard

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sharetray/agentcore/history"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/words"
)

// TestEveryTextIsThere: what templates and forms ask the catalogue for is in it, and
// what is in it for them is asked for.
func TestEveryTextIsThere(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	ask := func(key string) {
		asked[key] = true
		if !words.English().Has(key) && !words.English().Has(key+"_many") {
			t.Errorf("there is no text %s", key)
		}
	}
	key := regexp.MustCompile(`"((?:page|field|help|setting)\.[a-z_]+)"`)
	for _, pattern := range []string{"*.go", "../../assets/dashboard/*.html", "../../tray/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range key.FindAllStringSubmatch(string(text), -1) {
				if !strings.HasSuffix(m[1], "_") { // which is the beginning of one
					ask(m[1])
				}
			}
		}
	}
	for _, g := range groups {
		ask("page.group_" + g.name)
	}
	for _, said := range saids {
		ask(said)
	}
	for _, kind := range share.Kinds {
		ask("kind." + string(kind))
		ask("about." + string(kind))
		ask("help.target_" + string(kind))
	}
	s := share.Defaults(share.Command)
	for _, k := range share.Keys {
		if k.Name == "version" || k.Name == "kind" || k.Name == "paused" {
			continue
		}
		ask("field." + k.Name)
		if k.Name != "target" {
			ask("help." + k.Name)
		}
		for _, c := range k.Field(&s).Choices {
			ask("choice." + k.Name + "_" + c)
		}
	}
	for _, k := range store.SettingsKeys {
		ask("setting." + strings.ReplaceAll(k.Name, ".", "_"))
	}
	for _, w := range []history.What{history.Started, history.Ready, history.Crashed, history.Recovered, history.Failed, history.Blocked,
		history.Restarted, history.Limited, history.Expired, history.Adopted, history.Upgraded, history.Stopped} {
		ask("history." + string(w))
	}
	english, err := os.ReadFile("../words/en.toml")
	if err != nil {
		t.Fatal(err)
	}
	table := ""
	for line := range strings.Lines(string(english)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "["); ok {
			table = strings.TrimSuffix(name, "]")
		}
		name, _, ok := strings.Cut(line, " = ")
		whole := table + "." + strings.TrimSuffix(strings.TrimSuffix(name, "_one"), "_many")
		if ok && regexp.MustCompile(`^(page|field|help|kind|about|choice|history|setting)$`).MatchString(table) && !asked[whole] && !asked[table+"."+name] {
			t.Errorf("nobody asks for %s.%s", table, name)
		}
	}
}

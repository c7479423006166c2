package platform

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"

	"howett.net/plist"
)

func TestLaunchAgent(t *testing.T) {
	t.Parallel()
	e := AutostartEntry{ID: "sharetray", Exe: `/Applications/<b> & "Share" tray]]>.app/写真 $HOME`, Args: []string{"agent", "--profile", "a<&>'b", "", " "}}
	text, err := launchAgentFile(e)
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := dec.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	var raw map[string]any
	if _, err := plist.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	if raw["Label"] != "sharetray" || raw["RunAtLoad"] != true || raw["ProcessType"] != "Interactive" || len(raw) != 5 {
		t.Errorf("%v", raw)
	}
	if st, err := launchAgentState(e, "p", text); err != nil || st != (AutostartState{On: true, Place: "p"}) {
		t.Errorf("%+v, %v", st, err)
	}
	other := e
	other.Args = nil
	if st, err := launchAgentState(other, "p", text); err != nil || !st.On || st.Other != strings.Join(slices.Concat([]string{e.Exe}, e.Args), " ") {
		t.Errorf("%+v, %v", st, err)
	}
	for text, on := range map[string]bool{
		`<dict><key>RunAtLoad</key><true/><key>ProgramArguments</key><array><string>x</string></array></dict>`:                            false,
		`<dict><key>RunAtLoad</key><false/><key>ProgramArguments</key><array><string>/x</string></array></dict>`:                          false,
		`<dict><key>RunAtLoad</key><true/><key>Disabled</key><true/><key>ProgramArguments</key><array><string>/x</string></array></dict>`: false,
		`<dict><key>RunAtLoad</key><true/></dict>`:                                                                                                  false,
		`<dict><key>RunAtLoad</key><true/><key>ProgramArguments</key><array><string>/x</string></array></dict>`:                                     true,
		`<dict><key>RunAtLoad</key><true/><key>Program</key><string>/x</string><key>ProgramArguments</key><array><string>n</string></array></dict>`: true,
		`<dict><key>RunAtLoad</key><true/><key>Program</key><string>/x</string></dict>`:                                                             true,
	} {
		st, err := launchAgentState(AutostartEntry{ID: "x", Exe: "/x"}, "p", []byte(`<plist version="1.0">`+text+`</plist>`))
		if err != nil || (st.On && st.Other == "") != on {
			t.Errorf("%s: %+v, %v", text, st, err)
		}
	}
	if _, err := launchAgentState(e, "/p", []byte("<plist><dict>")); err == nil || !strings.Contains(err.Error(), "/p can't be read") {
		t.Errorf("no plist: %v", err)
	}
}

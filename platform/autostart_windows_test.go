package platform

import (
	"strings"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// TestAutostart works on an entry of the test's own in the user's registry.
func TestAutostart(t *testing.T) {
	e := AutostartEntry{ID: "sharetray-test", Exe: `C:\Share "tray"\100% $x\share tray.exe`, Args: []string{"agent", "", `a\`, `a "b" c\\`, "写真"}}
	t.Cleanup(func() { _ = SetAutostart(false, e) })
	for range 2 {
		if err := SetAutostart(true, e); err != nil {
			t.Fatal(err)
		}
		if st, err := AutostartOf(e); err != nil || !st.On || st.Other != "" {
			t.Errorf("%+v, %v", st, err)
		}
	}
	other := e
	other.Args = nil
	if st, err := AutostartOf(other); err != nil || !st.On || st.Other == "" {
		t.Errorf("another command: %+v, %v", st, err)
	}
	key, _, err := registry.CreateKey(registry.CURRENT_USER, approvedKey, registry.SET_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	for first, on := range map[byte]bool{2: true, 3: false, 6: true, 7: false} {
		if err := key.SetBinaryValue(e.ID, []byte{first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		if st, err := AutostartOf(e); err != nil || st.On != on {
			t.Errorf("%d: %+v, %v", first, st, err)
		}
	}
	if err := SetAutostart(true, e); err != nil {
		t.Fatal(err)
	}
	if st, err := AutostartOf(e); err != nil || !st.On {
		t.Errorf("switched on again: %+v, %v", st, err)
	}
	for range 2 {
		if err := SetAutostart(false, e); err != nil {
			t.Fatal(err)
		}
		if st, err := AutostartOf(e); err != nil || st.On {
			t.Errorf("switched off: %+v, %v", st, err)
		}
	}
	e.Args = []string{strings.Repeat("x", 300)}
	if err := SetAutostart(true, e); err == nil || !strings.Contains(err.Error(), "260") {
		t.Errorf("too long: %v", err)
	}
}

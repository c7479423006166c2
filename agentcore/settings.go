package agentcore

import (
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/words"
)

// SetSettings changes values of the settings, given as text by key. Whether there
// are notifications, and in which language, changes at once; numbers are in force
// with the next agent. The error is a Problem, and nothing has changed then.
func (a *Agent) SetSettings(changes map[string]string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	s, err := store.UpdateSettings(a.paths.Settings, changes)
	if err == nil {
		a.live.Store(&s)
	}
	return err
}

// Language is the language of what people read of this agent.
func (a *Agent) Language() *words.Language {
	if tag := a.Settings().Language; tag != store.AutoLanguage {
		return words.Preferred(tag)
	}
	return words.OfSystem()
}

// Declared returns what the share's file says, with the defaults for what it does
// not say. The error is a Problem if there is no such share, or if its file can't be
// used.
func (a *Agent) Declared(name string) (share.Share, error) { return a.usable(name) }

package dashboard

import (
	"net/http"
	"strconv"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/store"
	"sharetray/agentcore/words"
)

// plainSettings are those that everybody understands; the others are numbers.
var plainSettings = []string{"notifications", "language"}

type settingsBody struct {
	text
	Autostart, CanAutostart bool
	Notifications           bool
	Language                string
	Languages               []*words.Language
	Numbers                 []field
	Config, State           string
	Wrong                   string
}

func (d *Dashboard) settingsForm(w http.ResponseWriter, r *http.Request) {
	s := d.agent.Settings()
	values := map[string]string{}
	for _, k := range store.SettingsKeys {
		values[k.Name] = k.Field(&s).Get()
	}
	d.showSettings(w, r, http.StatusOK, values, nil, "")
}

func (d *Dashboard) showSettings(w http.ResponseWriter, r *http.Request, status int, values, wrong map[string]string, sentence string) {
	t := text{d.language(r)}
	info := d.agent.Info()
	b := settingsBody{
		text: t, Notifications: values["notifications"] == "true", Language: values["language"], Languages: words.Languages(),
		Config: info.Config, State: info.State, Wrong: sentence,
	}
	if d.opt.Autostart != nil {
		on, err := d.opt.Autostart()
		b.Autostart, b.CanAutostart = on, err == nil
	}
	s := store.DefaultSettings()
	for _, k := range store.SettingsKeys {
		if k.Name == plainSettings[0] || k.Name == plainSettings[1] {
			continue
		}
		f := fieldFor(t, k.Name, k.Field(&s), values[k.Name], "setting")
		f.Wrong = wrong[k.Name]
		b.Numbers = append(b.Numbers, f)
	}
	d.write(w, r, status, "settings.html", view{Title: t.T("page.settings"), Nav: "settings", Body: b})
}

func (d *Dashboard) settings(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.wrong(w, r, http.StatusBadRequest, d.language(r).Say("page.form_lost"))
		return
	}
	t := text{d.language(r)}
	now, values, changes, wrong := d.agent.Settings(), map[string]string{}, map[string]string{}, map[string]string{}
	for _, k := range store.SettingsKeys {
		v := k.Field(&now)
		before, given := v.Get(), r.PostForm.Get(k.Name)
		if k.Name == "notifications" {
			given = strconv.FormatBool(r.PostForm.Has(k.Name))
		} else if !r.PostForm.Has(k.Name) {
			given = before
		}
		values[k.Name] = given
		if err := v.Set(given); err != nil {
			wrong[k.Name] = t.Sentence(err.Error())
		} else if v.Get() != before {
			changes[k.Name] = given
		}
	}
	sentence := ""
	if len(wrong) == 0 && len(changes) > 0 {
		if err := d.agent.SetSettings(changes); err != nil {
			sentence = t.Sentence(problem.Sentence(err))
		}
	}
	if len(wrong) == 0 && sentence == "" && d.opt.Autostart != nil {
		on, err := d.opt.Autostart()
		if want := r.PostForm.Has("autostart"); err == nil && want != on {
			if err := d.opt.SetAutostart(want); err != nil {
				sentence = t.Sentence(problem.Sentence(err))
			}
		}
	}
	if len(wrong) > 0 || sentence != "" {
		d.showSettings(w, r, http.StatusBadRequest, values, wrong, sentence)
		return
	}
	back(w, r, "/settings", "settings", "")
}

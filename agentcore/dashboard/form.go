package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/password"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/share/schema"
	"sharetray/platform"
)

// groups are the parts of a form, and which keys stand in each. What stands in none
// comes last.
var groups = []struct {
	name string
	open bool
	keys []string
}{
	{"what", true, []string{"target", "dir", "shell", "destinations", "upload", "writable", "hidden_files", "listing"}},
	{"who", true, []string{"reach", "users", "secret", "expires"}},
	{"guard", false, []string{"downloads", "networks", "hosts", "tls", "tls_cert", "tls_key"}},
	{"add", false, []string{"overwrite", "show_uploads", "max_upload", "keep_free"}},
	{"program", false, []string{"ready", "ready_path", "ready_line", "ready_timeout", "env", "watch", "link_pattern"}},
	{"limits", false, []string{"memory", "cpu", "open_files", "processes", "connections", "bandwidth"}},
	{"rest", false, nil},
}

// unasked are keys that no form has: buttons are for them, or they are not people's.
var unasked = []string{"version", "kind", "paused"}

// field is one input of a form.
type field struct {
	text
	Name, ID, Label, Help string
	Type                  string // text, path, check, choice, list, number, users, secret
	Value                 string
	On                    bool
	Choices               []choice
	Hints                 []choice // what may be meant, besides anything else
	Users                 []string // who has a password
	Wrong                 string
	Required              bool
}

type choice struct{ Value, Label string }

type group struct {
	Name, Title string
	Open        bool
	Fields      []field
}

type formBody struct {
	text
	Kind, KindText, About string
	Name                  string // of the share that is changed; "" for a new one
	NewName               string
	NameWrong             string
	Wrong                 string // what is wrong with the whole
	Groups                []group
	CanChoose             bool
}

// kinds is the page on which the kind of a new share is chosen.
func (d *Dashboard) kinds(w http.ResponseWriter, r *http.Request) {
	t := text{d.language(r)}
	type kind struct{ Kind, Label, About string }
	var kinds []kind
	for _, k := range share.Kinds {
		kinds = append(kinds, kind{string(k), t.T("kind." + string(k)), t.T("about." + string(k))})
	}
	d.write(w, r, http.StatusOK, "kinds.html", view{Title: t.T("page.add"), Nav: "add", Body: struct {
		text
		Kinds []kind
	}{t, kinds}})
}

func kindOf(r *http.Request) (share.Kind, bool) {
	kind := share.Kind(r.PathValue("kind"))
	return kind, slices.Contains(share.Kinds, kind)
}

func (d *Dashboard) addForm(w http.ResponseWriter, r *http.Request) {
	kind, ok := kindOf(r)
	if !ok {
		d.wrong(w, r, http.StatusNotFound, d.language(r).Say("page.not_found"))
		return
	}
	s := share.Defaults(kind)
	values := valuesOf(s)
	values["target"] = r.FormValue("target")
	d.showForm(w, r, http.StatusOK, s, values, formBody{NewName: r.FormValue("name")}, nil)
}

func (d *Dashboard) editForm(w http.ResponseWriter, r *http.Request) {
	s, err := d.agent.Declared(r.PathValue("name"))
	if err != nil {
		d.failed(w, r, err)
		return
	}
	d.showForm(w, r, http.StatusOK, s, valuesOf(s), formBody{Name: s.Name.String()}, nil)
}

// valuesOf is the text of each key of s.
func valuesOf(s share.Share) map[string]string {
	values := map[string]string{}
	for _, k := range share.Keys {
		if slices.Contains(k.Kinds, s.Kind) {
			values[k.Name] = k.Field(&s).Get()
		}
	}
	return values
}

// showForm answers with the form of a share of s's kind with these values, and what
// is wrong with each.
func (d *Dashboard) showForm(w http.ResponseWriter, r *http.Request, status int, s share.Share, values map[string]string, b formBody, wrong map[string]string) {
	t := text{d.language(r)}
	b.text, b.Kind, b.KindText, b.About = t, string(s.Kind), t.T("kind."+string(s.Kind)), t.T("about."+string(s.Kind))
	b.CanChoose = d.opt.ChooseFolder != nil
	b.NameWrong = wrong["name"]
	placed := slices.Clone(unasked)
	for _, g := range groups {
		out := group{Name: g.name, Title: t.T("page.group_" + g.name), Open: g.open}
		keys := g.keys
		if keys == nil {
			keys = schemaNames()
		}
		for _, name := range keys {
			i := slices.IndexFunc(share.Keys, func(k share.Key) bool { return k.Name == name })
			if slices.Contains(placed, name) || !slices.Contains(share.Keys[i].Kinds, s.Kind) {
				continue
			}
			placed = append(placed, name)
			f := fieldFor(t, name, share.Keys[i].Field(&s), values[name], "")
			f.Wrong = wrong[name]
			out.Open = out.Open || f.Wrong != ""
			d.complete(r.Context(), &f, s, b.Name == "")
			out.Fields = append(out.Fields, f)
		}
		if len(out.Fields) > 0 {
			b.Groups = append(b.Groups, out)
		}
	}
	title, nav := t.T("page.add_kind", b.KindText), "add"
	if b.Name != "" {
		title, nav = t.T("page.edit_of", card{t, agentcore.Status{Name: b.Name}}.Label()), "shares"
	}
	d.write(w, r, status, "form.html", view{Title: title, Nav: nav, Body: b})
}

func schemaNames() []string {
	var names []string
	for _, k := range share.Keys {
		names = append(names, k.Name)
	}
	return names
}

// fieldFor is the input for a key. Its words are field.KEY and help.KEY, or those of
// its page.
func fieldFor(t text, name string, v schema.Value, value, table string) field {
	key := strings.ReplaceAll(name, ".", "_")
	f := field{text: t, Name: name, ID: "f-" + key, Value: value, Type: "text"}
	if table == "" {
		f.Label, f.Help = t.T("field."+key), t.T("help."+key)
	} else {
		f.Label = t.T(table + "." + key)
	}
	switch {
	case name == "users" || name == "secret":
		f.Type = name
		f.On = value != ""
		for _, u := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
			user, _, _ := strings.Cut(strings.TrimSpace(u), ":")
			f.Users = append(f.Users, user)
		}
		f.Value = "" // neither a hash nor a secret is shown
	case v.Type == schema.Boolean:
		f.Type, f.On = "check", value == "true"
	case len(v.Choices) > 0:
		f.Type = "choice"
		for _, c := range v.Choices {
			f.Choices = append(f.Choices, choice{c, t.T("choice." + key + "_" + c)})
		}
	case v.Type == schema.Array:
		f.Type = "list"
		l := schema.ListOf()
		if schema.Texts(&l, "", func(s string) (string, error) { return s, nil }).Set(value) == nil {
			f.Value = strings.Join(l.Values(), "\n")
		}
	case v.Type == schema.Integer:
		f.Type = "number"
	}
	return f
}

// complete adds to a field what this computer knows.
func (d *Dashboard) complete(ctx context.Context, f *field, s share.Share, isNew bool) {
	switch f.Name {
	case "target":
		f.Help = f.T("help.target_" + string(s.Kind))
		f.Required = s.Kind != share.SOCKS
		if f.Required && s.Kind.HasFolder() || s.Kind == share.Caddy {
			f.Type = "path"
		}
		if (s.Kind == share.Proxy || s.Kind == share.TCP) && isNew && d.opt.Serving != nil {
			f.Hints = d.serving(ctx)
		}
	case "dir":
		f.Type = "path"
	case "port":
		if f.Value == "0" {
			f.Value = ""
		}
	}
}

// serving are the ports on which something listens that is none of the shares.
func (d *Dashboard) serving(ctx context.Context) (hints []choice) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	found, err := d.opt.Serving(ctx)
	if err != nil {
		return nil // a hint that is missing
	}
	shared := map[uint16]bool{}
	for _, st := range d.agent.List() {
		shared[st.Port] = true
	}
	for _, s := range found {
		if port := s.Addr.Port(); !shared[port] && s.PID != os.Getpid() {
			hints = append(hints, choice{strconv.Itoa(int(port)), strings.Trim(strconv.Itoa(int(port))+" · "+s.Program, " ·")})
		}
	}
	return hints
}

// filled is what a form was filled in with.
type filled struct {
	share   share.Share       // with every value that could be taken
	values  map[string]string // as they were typed
	changes map[string]string // for the agent
	wrong   map[string]string
	name    string
}

// fill reads a form for a share that is s so far, and checks each value as files do.
func fill(t text, form url.Values, s share.Share) filled {
	f := filled{share: s, values: map[string]string{}, changes: map[string]string{}, wrong: map[string]string{}, name: strings.TrimSpace(form.Get("name"))}
	for _, k := range share.Keys {
		if !slices.Contains(k.Kinds, s.Kind) || slices.Contains(unasked, k.Name) {
			continue
		}
		v := k.Field(&f.share)
		before := v.Get()
		switch k.Name {
		case "users":
			f.values[k.Name] = before
			f.password(t, form)
			continue
		case "secret":
			f.values[k.Name] = before
			switch want := form.Has(k.Name); {
			case want && (before == "" || form.Has("secret-new")):
				f.changes[k.Name] = "new"
			case !want && before != "":
				f.changes[k.Name] = ""
			}
			continue
		}
		text := typed(v, form, k.Name)
		f.values[k.Name] = text
		if text == before {
			continue
		}
		asked := text
		if k.Name == "expires" {
			var err error
			if asked, err = share.ParseExpiry(text, time.Now()); err != nil {
				f.wrong[k.Name] = t.Sentence(err.Error())
				continue
			}
		}
		if err := v.Set(asked); err != nil {
			f.wrong[k.Name] = t.Sentence(err.Error())
			continue
		}
		f.changes[k.Name] = text
	}
	return f
}

// typed is the text of a key as Set takes it.
func typed(v schema.Value, form url.Values, name string) string {
	text := form.Get(name)
	switch {
	case v.Type == schema.Boolean:
		return strconv.FormatBool(form.Has(name))
	case !form.Has(name):
		return v.Get()
	case v.Type == schema.Array:
		var values []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				values = append(values, line)
			}
		}
		return share.ListText(values...)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		switch {
		case v.Type == schema.Integer:
			return "0"
		case strings.HasPrefix(v.Want, `"none"`):
			return "none"
		case strings.HasPrefix(v.Want, `"never"`):
			return "never"
		}
	}
	return text
}

// password takes the password that was typed, if one was, or ends all of them.
func (f *filled) password(t text, form url.Values) {
	switch typed := form.Get("password"); {
	case form.Has("password-off"):
		f.changes[agentcore.PasswordKey] = ""
	case typed != "":
		user := strings.TrimSpace(form.Get("user"))
		if user == "" {
			user = "guest"
		}
		hash, err := password.Hash(typed)
		if err == nil && strings.Contains(user, ":") {
			err = errors.New("can't be given to a name with a colon: choose another name")
		}
		if err != nil {
			f.wrong["users"] = t.Sentence("the password " + err.Error())
			return
		}
		f.changes[agentcore.PasswordKey] = user + ":" + hash
	}
}

func (d *Dashboard) add(w http.ResponseWriter, r *http.Request) {
	kind, ok := kindOf(r)
	if !ok || r.ParseForm() != nil {
		d.wrong(w, r, http.StatusBadRequest, d.language(r).Say("page.form_lost"))
		return
	}
	t := text{d.language(r)}
	f := fill(t, r.PostForm, share.Defaults(kind))
	if f.name != "" {
		if _, err := share.ParseName(f.name); err != nil {
			f.wrong["name"] = t.Sentence(problem.Sentence(err))
		}
	}
	if f.values["target"] == "" && kind != share.SOCKS { // which is no change, and so was not looked at
		_, err := share.NormalizeTarget(kind, "")
		f.wrong["target"] = t.Sentence(problem.Sentence(err))
	}
	b := formBody{NewName: f.name}
	if len(f.wrong) == 0 {
		n := agentcore.NewShare{Name: f.name, Kind: string(kind), Target: f.values["target"], Keys: f.changes}
		delete(n.Keys, "target")
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		st, err := d.agent.Add(ctx, n)
		if err == nil {
			back(w, r, sharePath(st.Name), "added", st.Name)
			return
		}
		f.blame(t, err, &b)
	}
	d.showForm(w, r, http.StatusBadRequest, f.share, f.values, b, f.wrong)
}

func (d *Dashboard) edit(w http.ResponseWriter, r *http.Request) {
	s, err := d.agent.Declared(r.PathValue("name"))
	if err != nil {
		d.failed(w, r, err)
		return
	}
	if r.ParseForm() != nil {
		d.wrong(w, r, http.StatusBadRequest, d.language(r).Say("page.form_lost"))
		return
	}
	t := text{d.language(r)}
	f := fill(t, r.PostForm, s)
	b := formBody{Name: s.Name.String()}
	if len(f.wrong) == 0 {
		if len(f.changes) > 0 {
			_, err = d.agent.Set(d.life, b.Name, f.changes)
		}
		if err == nil {
			back(w, r, sharePath(b.Name), "saved", b.Name)
			return
		}
		f.blame(t, err, &b)
	}
	d.showForm(w, r, http.StatusBadRequest, s, f.values, b, f.wrong)
}

// blame puts what the agent has said beside the field that it is about, if that is
// known, else above the form.
func (f *filled) blame(t text, err error, b *formBody) {
	sentence := problem.Sentence(err)
	said := t.Sentence(sentence)
	first, _, _ := strings.Cut(sentence, " ")
	switch {
	case problem.Is(err, problem.Exists), strings.HasPrefix(sentence, "the name "):
		f.wrong["name"] = said
	case strings.HasPrefix(sentence, "the target "), strings.HasPrefix(sentence, "there is no folder "), strings.HasPrefix(sentence, "there is no file "),
		strings.HasPrefix(sentence, "there is no program "), strings.HasPrefix(sentence, "the folder "), strings.HasPrefix(sentence, "the file "),
		strings.Contains(sentence, "is a file, not a folder"), strings.Contains(sentence, " can't be run"):
		f.wrong["target"] = said
	case strings.HasPrefix(sentence, "port "):
		f.wrong["port"] = said
	case slices.Contains(schemaNames(), first):
		f.wrong[first] = said
	default:
		b.Wrong = said
	}
	if _, name := f.wrong["name"]; name && b.Name != "" {
		b.Wrong = said // the name of a share is not in the form that changes it
	}
}

// choose has the system's own chooser ask for a folder, for the form in the browser.
func (d *Dashboard) choose(w http.ResponseWriter, r *http.Request) {
	t := text{d.language(r)}
	if d.opt.ChooseFolder == nil {
		http.Error(w, t.T("page.no_chooser"), http.StatusNotImplemented)
		return
	}
	dir, err := d.opt.ChooseFolder(r.Context(), t.T("page.choose_title"))
	switch {
	case errors.Is(err, platform.ErrCanceled):
		w.WriteHeader(http.StatusNoContent)
	case err != nil:
		http.Error(w, t.T("page.no_chooser"), http.StatusNotImplemented)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(filepath.Clean(dir)))
	}
}

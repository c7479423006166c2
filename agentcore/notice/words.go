package notice

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"

	"sharetray/agentcore"
	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
)

// nameLength is how much of a share's name is shown where room is scarce.
const nameLength = 40

// Name is a share's name as people are shown it in a line of text: shortened in
// its middle, and kept from turning the text around it when it is written from
// right to left.
func Name(name string) string {
	r := oneLine(name)
	if len(r) > nameLength {
		r = shorten(r, nameLength/2, nameLength/2-1)
	}
	name = string(r)
	if strings.ContainsFunc(name, rightToLeft) {
		// The mark is for those who take a line's direction from its first
		// letter, isolated or not. Then: first strong isolate … pop.
		return "\u200e\u2068" + name + "\u2069"
	}
	return name
}

// Line makes text one line of at most limit characters: what is too long loses
// its end, what would break or turn the line is taken out.
func Line(text string, limit int) string {
	r := oneLine(text)
	if len(r) > limit {
		r = shorten(r, limit-1, 0)
	}
	return string(r)
}

func oneLine(text string) []rune {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	return []rune(strings.Join(strings.Fields(text), " "))
}

// shorten keeps at most that much of r's front and back. A mark that combines
// with the letter before it does not stand alone, nor half of a joined emoji.
func shorten(r []rune, front, back int) []rune {
	for front > 1 && joins(r, front) {
		front--
	}
	for back > 0 && joins(r, len(r)-back) {
		back--
	}
	head := strings.TrimRight(string(r[:front]), " ")
	tail := strings.TrimLeft(string(r[len(r)-back:]), " ")
	return []rune(head + "…" + tail)
}

const zeroWidthJoiner = '\u200d'

// joins reports whether r[i] belongs to the character before it.
func joins(r []rune, i int) bool {
	return unicode.Is(unicode.M, r[i]) || r[i] == zeroWidthJoiner || r[i-1] == zeroWidthJoiner ||
		r[i] >= 0x1f3fb && r[i] <= 0x1f3ff // skin tones
}

func rightToLeft(r rune) bool {
	return unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko,
		unicode.Samaritan, unicode.Mandaic, unicode.Adlam)
}

// State says in words how a share is.
func State(l *words.Language, st agentcore.Status) string { return l.Say("state." + condition(st)) }

// Advice says what can be done about a share that is not well; "" when it is, or
// mends itself.
func Advice(l *words.Language, st agentcore.Status) string {
	if key := "advice." + condition(st); l.Has(key) {
		return l.Say(key)
	}
	return ""
}

// condition is the key of the words for how a share is.
func condition(st agentcore.Status) string {
	switch st.State {
	case supervise.Starting:
		if st.Restarts > 0 {
			return "restarting"
		}
	case supervise.Backoff:
		if st.Trouble == supervise.PortTrouble {
			return "port"
		}
		return "restarting"
	case supervise.Unhealthy:
		return unhealthy(st)
	}
	return string(st.State)
}

func unhealthy(st agentcore.Status) string {
	switch st.Trouble {
	case supervise.TargetTrouble:
		switch {
		case st.Kind.HasFolder():
			return "folder"
		case st.Kind == share.Command:
			return "program"
		}
		return "app"
	case supervise.PortTrouble:
		return "port"
	case supervise.ConfigTrouble:
		return "config"
	case supervise.LimitTrouble:
		return "limit"
	case supervise.EndTrouble:
		return "expired"
	}
	return "unhealthy"
}

// visitWords is the message about what visitors have done, such as "A file was added
// to Photos", "cat.jpg, by 192.168.1.5".
func visitWords(l *words.Language, name string, times int, v link.Visit) (title, body string) {
	who := v.Addr
	if v.User != "" {
		who = l.Say("notice.user_at", v.User, who)
	}
	file := Line(path.Base(v.Path), nameLength)
	switch v.What {
	case share.DownloadVisit:
		title, body = l.Say("notice.download", name), l.Say("notice.by", file, who)
	case share.UploadVisit:
		title, body = l.Say("notice.upload", name), l.Say("notice.by", file, who)
	default:
		title, body = l.Say("notice.visitor", name), who
	}
	if times > 1 {
		body = l.Say("notice.last_of", times, body)
	}
	return title, body // a file's name is no sentence
}

// Away says how long a share was away.
func Away(l *words.Language, d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return l.Say("notice.seconds", fmt.Sprintf("%.2f", max(d, 10*time.Millisecond).Seconds()))
	case d < 2*time.Minute:
		return l.Say("notice.seconds", fmt.Sprintf("%.0f", d.Seconds()))
	}
	return l.Say("notice.minutes", fmt.Sprintf("%.0f", d.Minutes()))
}

// Sentence says in a language what the agent has said in English, with a capital
// letter and a full stop.
func Sentence(l *words.Language, s string) string {
	s = strings.TrimSpace(l.Sentence(strings.TrimSpace(s)))
	if s == "" {
		return ""
	}
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	if strings.ContainsRune(".!?…。！？", r[len(r)-1]) {
		return string(r)
	}
	return string(r) + l.Say("notice.stop")
}

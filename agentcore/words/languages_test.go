package words

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryLanguageIsWhole: each has the keys of English, with the same holes.
func TestEveryLanguageIsWhole(t *testing.T) {
	t.Parallel()
	holes := func(text string) string {
		found := regexp.MustCompile(`\{\w+\}`).FindAllString(text, -1)
		slices.Sort(found)
		return strings.Join(slices.Compact(found), "")
	}
	if len(Languages()) < 2 {
		t.Fatal("there is only one language")
	}
	for _, l := range Languages() {
		if l.Name == "" {
			t.Errorf("%s has no name", l.Tag)
		}
		for key, text := range English().texts {
			own, ok := l.texts[key]
			switch {
			case !ok:
				t.Errorf("%s lacks %s", l.Tag, key)
			case own == "" || own != strings.TrimSpace(own) && key != "summary.or":
				t.Errorf("%s: %s is %q", l.Tag, key, own)
			case holes(own) != holes(text):
				t.Errorf("%s: %s has %s, in English %s", l.Tag, key, holes(own), holes(text))
			}
		}
		for key := range l.texts {
			if _, ok := English().texts[key]; !ok {
				t.Errorf("%s has %s, which is not in use", l.Tag, key)
			}
		}
		for _, s := range l.sentences {
			for _, h := range regexp.MustCompile(`\{\d\}`).FindAllString(s.text, -1) {
				if !strings.Contains(s.form.String(), "<h"+h[1:2]+">") {
					t.Errorf("%s: %q has %s, which its form has not", l.Tag, s.text, h)
				}
			}
		}
	}
}

// TestChineseSentences: what the agent says in English is said in Chinese, with what
// it quotes.
func TestChineseSentences(t *testing.T) {
	t.Parallel()
	zh := Preferred("zh-CN")
	if zh.Tag != "zh-CN" || Preferred("zh-Hans-SG").Tag != "zh-CN" {
		t.Fatal(zh.Tag)
	}
	for english, want := range map[string]string{
		"nothing listens at 127.0.0.1:3000":                                                          "127.0.0.1:3000 没有程序在监听",
		"there is no folder /a/b: check the spelling":                                                "没有文件夹 /a/b：请检查拼写",
		"port 80 is in use by nginx (pid 7): choose another port, or end that program":               "端口 80 正被 nginx (pid 7) 使用：请选择其他端口，或结束该程序",
		"it failed 10 times in a row; the last time, it was killed by SIGKILL":                       "连续失败 10 次；最近一次：进程被强制终止（SIGKILL）",
		`must be a whole number from 0 to 65535, not "x"`:                                            `必须是 0 到 65535 之间的整数，而不是 "x"`,
		"what nobody has translated":                                                                 "what nobody has translated",
		"the folder /x can't be read: permission denied":                                             "文件夹 /x 无法读取：没有权限",
		"the program did not print the line that is waited for within 1m; it is started again in 2s": "程序在 1m 内没有输出所等待的行；2s 后重新启动",
	} {
		if got := zh.Sentence(english); got != want {
			t.Errorf("%q: %q, want %q", english, got, want)
		}
	}
}

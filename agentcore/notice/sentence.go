package notice

import (
	"time"

	"sharetray/agentcore/words"
)

func Sentence(l *words.Language, s string) string      { return sentence(l.Sentence(s)) }
func Away(l *words.Language, d time.Duration) string { return away(d) }

package adopt

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharetray/agentcore/link"
)

var (
	answers = []Answer{Nobody, Silent, Stranger, Newer, Ours}
	duties  = []link.Duty{"", link.Idle, link.Serves, link.Draining}
	wishes  = []Wish{Unknown, Paused, Spoiled, Wanted}
)

// fates writes down what becomes of a process, by what is wished.
var fates = []struct {
	about   string
	of      func(Sight) bool
	unknown Fate
	paused  Fate
	spoiled Fate
	wanted  Fate
	why     string
}{
	{"nobody", func(s Sight) bool { return s.Answer == Nobody },
		Forget, Forget, Forget, Forget, "what a dead process left is of no use"},
	{"a stranger", func(s Sight) bool { return s.Answer == Stranger },
		Leave, Leave, Leave, Leave, "it is none of our business"},
	{"a newer one", func(s Sight) bool { return s.Answer == Newer },
		Leave, Leave, Leave, Leave, "it is understood by the program that started it"},
	{"silent, without a record", func(s Sight) bool { return s.Answer == Silent && !s.Recorded },
		Leave, Leave, Leave, Leave, "nobody may be signalled of whom it is not certain who it is"},
	{"silent, with a record", func(s Sight) bool { return s.Answer == Silent && s.Recorded },
		Drain, Drain, Leave, Take, "slow is not dead; but of a spoiled share only itself could say what it serves"},
	{"idle", func(s Sight) bool { return s.Answer == Ours && s.Duty == link.Idle },
		Leave, Leave, Leave, Leave, "it serves nobody, and ends by itself"},
	{"draining", func(s Sight) bool { return s.Answer == Ours && s.Duty == link.Draining },
		Drain, Drain, Drain, Drain, "it can't go back, and may finish"},
	{"serving", func(s Sight) bool { return s.Answer == Ours && s.Duty == link.Serves },
		Drain, Drain, Take, Take, "it goes on, unless it is not to; a spoiled file changes nothing for visitors"},
}

func TestDecide(t *testing.T) {
	for _, answer := range answers {
		for _, duty := range duties {
			if answer == Ours && duty == "" {
				continue // who answers says its duty
			}
			for _, recorded := range []bool{false, true} {
				for _, wish := range wishes {
					s := Sight{Share: "photos", Recorded: recorded, Answer: answer, Duty: duty, Order: time.Second}
					t.Run(fmt.Sprintf("%s/%s/recorded=%t/%s", answer, duty, recorded, wish), func(t *testing.T) {
						rows := 0
						for _, row := range fates {
							if !row.of(s) {
								continue
							}
							rows++
							want := map[Wish]Fate{Unknown: row.unknown, Paused: row.paused, Spoiled: row.spoiled, Wanted: row.wanted}[wish]
							if got := Decide(s, wish); got != want {
								t.Errorf("%s: %s, want %s: %s", row.about, got, want, row.why)
							}
						}
						if rows != 1 {
							t.Errorf("%d rows say what becomes of it", rows)
						}
					})
				}
			}
		}
	}
}

func TestPlan(t *testing.T) {
	serving := func(share string, order time.Duration) Sight {
		return Sight{Share: share, Recorded: true, Answer: Ours, Duty: link.Serves, Order: order}
	}
	silent := Sight{Share: "photos", Recorded: true, Answer: Silent}
	for name, c := range map[string]struct {
		sights []Sight
		want   []Fate
	}{
		"nobody":                      {nil, []Fate{}},
		"one":                         {[]Sight{serving("photos", 1)}, []Fate{Take}},
		"each its own":                {[]Sight{serving("photos", 1), serving("music", 2)}, []Fate{Take, Take}},
		"in the midst of a roll":      {[]Sight{serving("photos", 1), serving("photos", 2)}, []Fate{Drain, Take}},
		"in whatever order":           {[]Sight{serving("photos", 2), serving("photos", 1)}, []Fate{Take, Drain}},
		"three":                       {[]Sight{serving("photos", 2), serving("photos", 3), serving("photos", 1)}, []Fate{Drain, Take, Drain}},
		"silent, and one that is not": {[]Sight{silent, serving("photos", 1)}, []Fate{Drain, Take}},
		"the other way round":         {[]Sight{serving("photos", 1), silent}, []Fate{Take, Drain}},
		"silent, both":                {[]Sight{silent, silent}, []Fate{Take, Drain}},
		"beside one that drains":      {[]Sight{{Share: "photos", Answer: Ours, Duty: link.Draining, Order: 9}, serving("photos", 1)}, []Fate{Drain, Take}},
		"beside a stranger":           {[]Sight{{Share: "photos", Answer: Stranger}, serving("photos", 1)}, []Fate{Leave, Take}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Plan(c.sights, func(string) Wish { return Wanted }); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestPlanWhateverIsThere: what must hold of every plan.
func TestPlanWhateverIsThere(t *testing.T) {
	shares := []string{"", "photos", "music"}
	sight := rapid.Custom(func(t *rapid.T) Sight {
		s := Sight{Share: rapid.SampledFrom(shares).Draw(t, "share"), Recorded: rapid.Bool().Draw(t, "recorded"), Answer: rapid.SampledFrom(answers).Draw(t, "answer")}
		if s.Answer == Ours {
			s.Duty = rapid.SampledFrom(duties[1:]).Draw(t, "duty")
			s.Order = time.Duration(rapid.IntRange(0, 3).Draw(t, "order")) // some at the same time
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		sights := rapid.SliceOfN(sight, 0, 8).Draw(t, "sights")
		wish := map[string]Wish{"": Unknown}
		for _, name := range shares[1:] {
			wish[name] = rapid.SampledFrom(wishes).Draw(t, "wish of "+name)
		}
		plan := Plan(sights, func(name string) Wish { return wish[name] })
		if len(plan) != len(sights) {
			t.Fatalf("%d fates", len(plan))
		}
		taken := map[string]int{}
		for i, s := range sights {
			if plan[i] == Take {
				if j, twice := taken[s.Share]; twice {
					t.Fatalf("both %+v and %+v are taken", sights[j], s)
				}
				taken[s.Share] = i
			}
		}
		for i, s := range sights {
			alone, fate := Decide(s, wish[s.Share]), plan[i]
			chief, led := taken[s.Share]
			switch {
			case (s.Answer == Stranger || s.Answer == Newer || s.Duty == link.Idle) && fate != Leave:
				t.Fatalf("%+v is touched: %s", s, fate)
			case s.Answer != Nobody && fate == Forget:
				t.Fatalf("%+v is forgotten", s)
			case fate == alone: // others have no say in it
			case alone != Take || fate != Drain:
				t.Fatalf("%+v: %s, alone %s", s, fate, alone)
			case !led:
				t.Fatalf("%+v is drained for nobody", s)
			case better(s, sights[chief]):
				t.Fatalf("%+v is taken, before %+v", sights[chief], s)
			}
			if s.Answer == Silent && led && chief == i && slices.ContainsFunc(sights, func(o Sight) bool {
				return o.Share == s.Share && o.Answer == Ours && o.Duty == link.Serves
			}) {
				t.Fatalf("%+v is taken, though another one answers", s)
			}
		}
	})
}

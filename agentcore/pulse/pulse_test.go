package pulse

import (
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ now, d, want time.Duration }{
		{0, 0, Beat},
		{1, 0, Beat - 1},
		{Beat - 1, 0, 1},
		{Beat, 0, Beat},
		{7 * time.Second, 0, 3 * time.Second},
		{0, Beat, Beat},
		{1, Beat, 2*Beat - 1},
		{2 * time.Second, time.Minute, time.Minute + 3*time.Second},
	} {
		if got := after(test.now, test.d); got != test.want {
			t.Errorf("after %v, %v from now: %v, want %v", test.now, test.d, got, test.want)
		}
	}
	if got := Near(time.Second); got != time.Second {
		t.Errorf("a second became %v", got)
	}
	for _, d := range []time.Duration{Beat, time.Minute} {
		if got := Near(d); got < d-Beat/2 || got > d+Beat/2 {
			t.Errorf("%v became %v", d, got)
		}
	}
	if got := Next(); got <= 0 || got > Beat {
		t.Errorf("the next beat is %v away", got)
	}
}

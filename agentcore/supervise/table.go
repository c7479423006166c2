package supervise

// handler says what follows from one kind of event in one phase.
type handler func(*machine, Event)

// table holds every pair of event and phase. What it says "never" of can't
// happen by construction and is ignored all the same; "late" is the echo of
// something that has been overtaken.
var table = [kinds][8]handler{
	//            invalid   stopped   starting     ready        unhealthy    backoff    stopping    failed
	Start:       {ignore, start, ignore, ignore, ignore, start, startAgain, start},
	Stop:        {stopInvalid, stopAgain, stop, stop, stop, stop, stopAgain, stop},
	Declare:     {declareFirst, declare, declareBusy, declareUp, declareUp, declareRetry, declare, declareRetry},
	Spoil:       {spoilFirst, spoil, spoil, spoil, spoil, spoil, spoil, spoil},
	Restart:     {ignore, start, restartBusy, roll, roll, start, startAgain, start},
	Bound:       {late, late, bound, boundUp, boundUp, late, late, late},
	BindFailed:  {late, late, bindFailed, bindFailedUp, bindFailedUp, late, late, late},
	Serving:     {never, never, serving, never, never, never, late, never},
	Refused:     {never, never, refused, never, never, never, oldExited, never},
	Probed:      {never, never, probed, checked, checked, never, late, never},
	Answered:    {never, never, late, answered, answered, never, late, never},
	Silent:      {never, never, late, silent, silent, never, late, never},
	Find:        {never, find, never, never, never, find, never, never},
	Leftover:    {leftover, leftoverStopped, leftover, leftover, leftover, leftover, leftoverStopped, leftover},
	Adopted:     {never, never, adopted, never, never, never, late, never},
	Lost:        {never, never, lost, never, never, never, late, never},
	Told:        {never, never, told, toldUp, toldUp, never, late, never},
	Vanished:    {never, never, ignore, vanished, vanished, never, late, never},
	Exited:      {never, never, died, crashed, crashed, never, oldExited, never},
	NextServing: {never, never, never, nextServing, nextServing, never, late, never},
	NextRefused: {never, never, never, nextRefused, nextRefused, never, oldExited, never},
	NextProbed:  {never, never, never, nextProbed, nextProbed, never, late, never},
	NextExited:  {never, never, never, nextExited, nextExited, never, oldExited, never},
	OldExited:   {oldExited, oldExited, oldExited, oldExited, oldExited, oldExited, oldExited, oldExited},
	RetryDue:    {late, late, bindAgain, retryUp, retryUp, retry, late, late},
	PingDue:     {late, late, late, ping, ping, late, late, late},
	ProbeDue:    {late, late, late, probe, probe, late, late, late},
	ForgetDue:   {late, late, late, forget, forget, late, late, late},
	Released:    {released, released, released, released, released, released, released, released},
	GraceOver:   {graceOver, graceOver, graceOver, graceOver, graceOver, graceOver, graceOver, graceOver},
}

func column(p Phase) int {
	for i, q := range Phases {
		if p == q {
			return i
		}
	}
	panic("no such phase: " + string(p))
}

func ignore(*machine, Event) {} // nothing follows
func late(*machine, Event)   {} // overtaken
func never(*machine, Event)  {} // can't be

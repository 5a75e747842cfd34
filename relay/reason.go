package relay

// A Reason is why a conn ended. Logs carry it as String spells it.
type Reason uint8

// The reasons.
const (
	noReason       Reason = iota
	EOF                   // both sides finished
	ResetClient           // the client reset the connection
	ResetUpstream         // the upstream did
	OpenFailed            // an accepted exec: address did not start
	DialFailed            // no connection to the upstream
	DialTimeout           // none within the connect timeout
	NoPorts               // no local port left to dial from
	StageFailed           // a stage of a chain failed
	Idle                  // nothing moved for too long
	HalfClosed            // nothing moved for too long after one side had finished
	WriteStall            // one side took nothing of what was to be sent to it for too long
	MaxLifetime           // its time was up
	Drained               // cut when the drain's time was up
	NoUpstream            // no target of the upstream is up
	QueueFull             // all targets have their most conns, and too many wait already, or too long
	UpstreamDown          // the target went down, and its conns were to end with that
	NoRoute               // no route takes what the preface says
	Denied                // the client that a PROXY header names may not connect
	MaxPerSource          // or has too many conns
	PrefaceTimeout        // the preface did not come in time
	BadPreface            // it was none, or stopped in the midst
	NoPreface             // the client has gone before it began one, or between two parts of it
	TLSFailed             // the TLS handshake failed, or one side refused to go on
	Removed               // the route was removed
	Killed                // ended by hand, or shut down for any other cause
	reasonCount
)

var reasons = [...]string{"", "eof", "reset-client", "reset-upstream", "open-failed", "dial-failed", "dial-timeout",
	"no-ports", "stage-failed", "idle", "half-closed", "write-stall", "max-lifetime", "drained", "no-upstream", "queue-full",
	"upstream-down", "no-route", "denied", "max-per-source", "preface-timeout", "bad-preface", "no-preface", "tls-failed", "removed", "killed"}

// String returns the reason in words, such as "reset-client".
func (r Reason) String() string { return reasons[r] }

// An ending is the cause of the shutdown of a conn that we end ourselves.
type ending Reason

func (e ending) Error() string { return endings[Reason(e)] }

var endings = map[Reason]string{
	Idle:        "nothing has moved for the idle time",
	HalfClosed:  "one side has finished, and nothing has moved for the half-closed time",
	WriteStall:  "a peer has taken nothing for the write-stall time",
	MaxLifetime: "the conn has lived for the maximum lifetime",
	Drained:     "cut by the drain",
	Killed:      "killed",

	UpstreamDown: "the upstream's target went down",
	Removed:      "the route was removed",
}

// A Side is who did something first.
type Side uint8

// The sides.
const (
	nobody Side = iota
	Client
	Upstream
	Us
	sideCount
)

var sides = [...]string{"", "client", "upstream", "us"}

// String returns the side in a word.
func (s Side) String() string { return sides[s] }

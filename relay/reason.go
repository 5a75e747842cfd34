package relay

// A Reason is why a conn ended. Logs carry it as String spells it.
type Reason uint8

// The reasons.
const (
	noReason      Reason = iota
	EOF                  // both sides finished
	ResetClient          // the client reset the connection
	ResetUpstream        // the upstream did
	OpenFailed           // an accepted exec: address did not start
	DialFailed           // no connection to the upstream
	DialTimeout          // none within the connect timeout
	NoPorts              // no local port left to dial from
	StageFailed          // a stage of a chain failed
	Drained              // cut when the drain's time was up
	Killed               // shut down for any other cause
)

var reasons = [...]string{"", "eof", "reset-client", "reset-upstream", "open-failed", "dial-failed", "dial-timeout",
	"no-ports", "stage-failed", "drained", "killed"}

// String returns the reason in words, such as "reset-client".
func (r Reason) String() string { return reasons[r] }

// A Side is who did something first.
type Side uint8

// The sides.
const (
	nobody Side = iota
	Client
	Upstream
	Us
)

var sides = [...]string{"", "client", "upstream", "us"}

// String returns the side in a word.
func (s Side) String() string { return sides[s] }

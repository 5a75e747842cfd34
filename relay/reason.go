package relay

// A Reason is why a conn ended. Logs carry it as it is spelled here.
type Reason string

// The reasons.
const (
	EOF           Reason = "eof"            // both sides finished
	ResetClient   Reason = "reset-client"   // the client reset the connection
	ResetUpstream Reason = "reset-upstream" // the upstream did
	OpenFailed    Reason = "open-failed"    // an accepted exec: address did not start
	DialFailed    Reason = "dial-failed"    // no connection to the upstream
	DialTimeout   Reason = "dial-timeout"   // none within the connect timeout
	NoPorts       Reason = "no-ports"       // no local port left to dial from
	StageFailed   Reason = "stage-failed"   // a stage of a chain failed
	Drained       Reason = "drained"        // cut when the drain's time was up
	Killed        Reason = "killed"         // shut down for any other cause
)

// A Side is who did something first.
type Side string

// The sides.
const (
	Client   Side = "client"
	Upstream Side = "upstream"
	Us       Side = "us"
)

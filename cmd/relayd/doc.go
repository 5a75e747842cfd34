// Relayd relays TCP streams.
//
// Usage:
//
//	relayd [run] [-l ADDRESS]… [-t ADDRESS] [--up STAGE]… [--down STAGE]… [flags]
//	relayd ps [ID] [--tree] [--json] [--watch] [--orphans] [--filter WORD=VALUE…]
//	relayd inspect ID
//	relayd top
//	relayd tap ID [--at PLACE] [--pcapng FILE]
//	relayd kill ID… | --filter WORD=VALUE… [--fin] [--dry-run] [--json]
//	relayd drain [--drain-timeout TIME] [--drain-spread TIME] [--follow]
//	relayd stages [NAME] [--json]
//	relayd conformance [--json] [--html FILE] [--row N] [--kind KIND] [--rounds N]
//	relayd version
//	relayd completion SHELL
//
// It accepts connections at the -l addresses (127.0.0.1:7000), connects each to
// the -t address (echo:), and moves bytes both ways: up, from client to
// upstream, through the --up stages, and down through the --down stages. Each
// direction ends by itself, with FIN for FIN.
//
// What a conn may wait for is bounded: --connect-timeout (10s), --idle-timeout
// (off), --half-closed-timeout (5m), --write-stall-timeout (15m), --linger (2s),
// --max-linger (as write-stall), --max-lifetime (off). Only the last one ends a
// conn that makes progress; see relay.Timeouts for the exact meanings.
//
// Plain bytes are relayed on event loops, one a processor; --event-loop says how
// many, or off. GOMAXPROCS and GOGC are respected where they are set.
//
// A flag that is not given is taken from the environment: --log-level from
// RELAYD_LOG_LEVEL, and so on.
//
// # Signals
//
// The first TERM or INT stops accepting, waits for the live conns for up to
// --drain-timeout, and then cuts them: all at once, or one by one over
// --drain-spread. A second one cuts all that are left at once. USR1 writes a line
// about each conn to the log, and QUIT all goroutines and resources to standard
// error; relayd goes on after both.
//
// # Output
//
// Standard output gets what relayd listens on and a line to try it with;
// standard error gets the log, a line for each conn at its end. Above --log-rate
// lines a second the rest is counted, and the count logged once a second; lines
// that are warnings have a rate of their own.
//
// # Admin API
//
// A running relayd can be asked who is connected, who holds what and why, and
// told to end conns or itself: by the commands ps, inspect, top, tap, kill and
// drain, or by curl. The API is HTTP with JSON on a Unix socket of mode 0600:
// relayd.sock in $XDG_RUNTIME_DIR, or in /run for root; --admin puts it
// elsewhere, and commands look where --admin or RELAYD_ADMIN says. A second
// relayd of the same user goes on without one, and says so. --admin-view adds a
// socket for watchers, which answers what only reads and shows nothing of what
// conns carry. Over TCP every request needs the token of --admin-token-file. GET
// /v1/openapi.yaml is the reference; /metrics is for Prometheus, /healthz and
// /readyz for whoever supervises, /debug/pprof/ for developers.
//
// # Service manager
//
// To the manager that NOTIFY_SOCKET names, systemd for one, relayd says when it
// accepts (READY), how many conns it has (STATUS), and that it stops, with the
// number of those left (STOPPING, EXTEND_TIMEOUT_USEC). With a watchdog
// (WATCHDOG_USEC) it gives a sign of life twice in its time, but only if all event
// loops turn and no listener leaves connections waiting.
//
// # Exit codes
//
//	0  clean
//	1  failure: an address that is in use, a file that cannot be written
//	2  usage: an unknown flag, an address or a stage that does not parse
//	3  conns were cut when the drain's time was up, or by a second signal
//	4  no relayd answers at the admin socket
//	5  no conn has that id
package main

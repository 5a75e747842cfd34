// Relayd relays TCP streams.
//
// Usage:
//
//	relayd [run] [-l ADDRESS]… [-t ADDRESS] [--up STAGE]… [--down STAGE]… [flags]
//	relayd [run] -c FILE [flags]
//	relayd check -c FILE
//	relayd config print [-c FILE] [flags] [--origins]
//	relayd config from-flags [flags]
//	relayd config schema | reference
//	relayd ps [ID] [--tree] [--json] [--watch] [--orphans] [--filter WORD=VALUE…]
//	relayd inspect ID
//	relayd top
//	relayd tap ID [--at PLACE] [--pcapng FILE]
//	relayd kill ID… | --filter WORD=VALUE… [--fin] [--dry-run] [--json]
//	relayd drain [--drain-timeout TIME] [--drain-spread TIME] [--follow]
//	relayd upstreams [up|down|drain UPSTREAM/TARGET] [--dry-run] [--json]
//	relayd reload [--dry-run] [--json]
//	relayd stages [NAME] [--json]
//	relayd keygen [--shared] [FILE]
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
// # Configuration file
//
// With -c FILE there may be any number of listeners, routes and upstreams. The
// file is YAML, or JSON, and strict: all that is wrong with it is told at once,
// with lines and columns. relayd config reference prints one with every key, its
// default and what it means, and relayd config schema its JSON Schema.
//
// A flag is stronger than the environment, that than the file, and that than the
// default; relayd config print --origins shows which it was. A flag stands for a
// key: --idle-timeout for timeouts.idle, which holds on routes that have no idle
// timeout of their own. -l, -t, --up, --down, --wrap, --unwrap and --at make
// listeners, a route and an upstream that are called default. They are an error
// with a file that has listeners, routes or upstreams; with one that has none of
// these they make the route. A file without listeners, and without these flags, is an error.
//
// # Signals
//
// The first TERM or INT stops accepting, waits for the live conns for up to
// --drain-timeout, and then cuts them: all at once, or one by one over
// --drain-spread. A second one cuts all that are left at once. USR1 writes a line
// about each conn to the log, and QUIT all goroutines and resources to standard
// error; HUP is a reload. Relayd goes on after all three.
//
// # Reload
//
// HUP and relayd reload read the file of -c again, with the same flags and
// variables, and change what is different: listeners, routes, upstreams, timeouts,
// limits and the drain's times. It is all or nothing: a file with errors, or one
// that changes admin, drop-policy, event-loop, limits.nofile, log, ready-file,
// sandbox or user, or needs what the sandbox does not allow, changes nothing, and
// the errors are in the log and printed by relayd reload. Live conns keep what they
// have; those of a removed route meet its on-remove. Certificates and keys are read
// again, too, and without a file nothing else is. A drain ignores reloads.
//
// # TLS and keys
//
// An address tls://HOST:PORT listens or dials with TLS; relayd help addresses
// lists its options. TLS 1.2 is the oldest version, and 1.3 is used where the peer
// has it; min=1.3 refuses others. There are no session tickets and no early data.
// Files that change are used from the next handshake on, a second later at most; if
// the new ones are not right the old ones stay in use, and the log says why. An
// accepted conn has 10s for its handshake, which comes before the dial; it ends
// with the reason tls-failed otherwise. So does one whose upstream refuses our
// certificate: with TLS 1.3 it does so when the handshake is over for us.
//
// --key encrypts the tunnel between --wrap and --unwrap: the near end's upstream,
// or the far end's listeners, have TLS 1.3, by which the ends know each other by
// their keys and by nothing else. Relayd keygen makes keys. With --key alone both
// ends share the one in the file; with --peer-key each has its own.
//
// # Output
//
// Standard output gets what relayd listens on and a line to try it with;
// standard error gets the log, a line for each conn at its end. Above --log-rate
// lines a second the rest is counted, and the count logged once a second; lines
// that are warnings have a rate of their own. Who connects where TLS or a PROXY
// header is expected, and goes again without a byte, or with none after that header,
// as health checks do, ends with the reason no-preface, which is logged on debug
// only.
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
// # Service
//
// With --user relayd gives up root when it listens and before it accepts: it
// becomes that user and group for good, with no capability and no way to get one.
// Socket files that it has made, and that have no option owner, are that user's.
// What it does later it does as that user: it writes the ready file, starts
// programs, and removes its socket files, which takes a directory that the user
// may write to.
//
// Then it keeps to the files that its command line names, by Landlock where the
// kernel has it; the log says what is restricted. A program of exec or a stage
// that is added later may need more, which --sandbox-path adds. With --sandbox
// try, the default, nothing is restricted if programs run and no path is named:
// what they work with is not known. With on they have what is installed on the
// system, /dev, the place for temporary files and the paths that are named; and
// relayd does not start where it cannot be restricted.
//
// The limit of descriptors is as high as it can be, for relayd and not for
// programs that it runs; --nofile sets it for both. A line of the log says what
// bounds relayd.
//
// # Exit codes
//
//	0  clean
//	1  failure: an address that is in use, a file that cannot be written
//	2  usage: an unknown flag, an address or a stage that does not parse
//	3  conns were cut when the drain's time was up, or by a second signal
//	4  no relayd answers at the admin socket
//	5  no conn has that id
//	78 the configuration file is not right
package main

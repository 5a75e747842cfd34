// Package process runs other programs as resources of package lifetime.
//
// A [Process] is one program and all that it starts, unless a child of it makes
// a process group of its own: the group is what is signalled. It is started by
// [Start], owned like any resource, and released when the program has ended and
// was reaped, all that is left of its group was killed, and its standard error
// was read.
//
//	Start ──► Live ──last holder gone──► Draining ──────► Released
//	            │       grace, SIGTERM, grace, SIGKILL       ▲
//	            └──── shutdown, trap: SIGKILL ───────────────┘
//
// A program that ends by itself leaves the resource live, for its owner to drop:
// what it started may still be at work on its behalf. If it ended badly, and not
// because of us, the resource's end is [lifetime.Failed] with an [*ExitError].
package process

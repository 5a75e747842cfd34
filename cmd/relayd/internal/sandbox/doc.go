// Package sandbox takes the rest of the file system away from the process, once
// all that it opens is known: Landlock on Linux, nothing elsewhere.
//
// What a configuration works with are its [Needs]. [Apply] restricts the process
// to them, on all threads, for good, and for the programs that it starts; its
// [Report] says what is restricted and what is not. A configuration that comes
// later is held against that by [Report.Covers], before anything of it is opened:
// a sandbox never grows.
//
// Files are restricted: which may be read, run, written, made and removed. The
// network, signals, connecting to a Unix socket, and what only looks at files
// (stat) or changes their mode or owner are not: Landlock does not know them, or
// not in all kernels that matter. A rule is about a file or a directory and what
// is below it, not about a name: a file that takes the place of another under its
// name has no rule. So whatever may be replaced is allowed by its directory.
package sandbox

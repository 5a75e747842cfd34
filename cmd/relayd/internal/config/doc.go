// Package config is the configuration of relayd: what its file can say, and what
// the command line says as well.
//
//	flags, environment ──► Config.Set ─┐
//	file ──► Load, Decode ─────────────┴──► Config ──► Check ──► Relay ──► package relay
//	                                          │
//	                                          └──► YAML, with where each value is from
//
// The structs below [Config] are the file: their tags have the keys, the defaults,
// examples and explanations, and the types of their fields what can be written.
// The decoder, the printer, [Schema] and [Reference] walk over them, so a new key
// is a new field, and a few words where Relay uses it.
//
// # The file
//
// It is strict YAML, of which JSON is a part, and begins with version: 1. Keys are
// those of the structs; names of listeners, routes and upstreams are 1 to 64 of
// a-z, 0-9, dot, _ and -. Times are written 500ms, 30s or 1h30m, bytes a second
// 65536, 64KiB/s or 10M. 0 and off are one: no bound, no such thing. Where there
// is a list of values, one value will do. A target is an address, or a mapping.
//
// Aliases (& and *) repeat what is there; mappings are not merged (<<). A file has
// up to 4 MiB, and stands for up to 524,288 values with what aliases repeat.
//
// In texts, but not in keys, ${VAR} is a variable of the environment,
// ${VAR:-DEFAULT} the same or what is given if it is not set or empty, and
// ${file:/PATH} what is in a file of up to 64 KiB, without the newline at its end.
// $$ is a dollar. What came from a file is not printed: YAML prints the text as it
// is written, and messages do not repeat it. Nor is it shown while relayd runs,
// where it can be a secret: in the arguments of programs, the options of stages,
// and what a check sends and expects. Hosts, paths and names are for showing.
//
// # Errors
//
// Nothing stops at the first error: [Problems] are all of them, sorted by place,
// each of them a line that is safe to print:
//
//	FILE:LINE:COLUMN: PATH: what is wrong, and what to do
//
// Of errors beyond the first hundred only the number is told. What is strange and
// yet works, such as a route that no listener leads to, is a warning.
//
// The folder examples has a file for each thing that can be configured, and
// reference.yaml, which has all keys.
package config

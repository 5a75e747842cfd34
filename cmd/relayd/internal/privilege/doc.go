// Package privilege gives up root: the process becomes another user, for good,
// on all threads, and looks afterwards whether it has.
//
// What is kept is nothing: no user, group, supplementary group or capability of
// before, and no way to get one by a program (no_new_privs). What was opened
// before stays open.
package privilege

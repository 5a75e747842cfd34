// Package top is the live table of conns: what `relayd top` shows, once a second,
// of what it is told over the admin API.
package top

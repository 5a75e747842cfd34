// Package screen is what all commands that show something on a terminal have in
// common: what may be shown there, and in which colours.
package screen

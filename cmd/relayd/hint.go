package main

import (
	"errors"
	"syscall"

	"relayd/socket"
	"relayd/transform"
)

// hintFor says what to do about an error, or nothing.
func hintFor(err error) string {
	var address *socket.AddressError
	var stage *transform.Error
	switch {
	case errors.As(err, &address):
		return address.Hint()
	case errors.As(err, &stage) && stage.Op == "parse":
		return "a stage is written NAME or NAME:KEY=VALUE,KEY=VALUE"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another process has the address: stop it, or choose another with -l"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 and some directories need privileges: choose another with -l"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "the address is not one of this machine's"
	}
	return ""
}

//go:build !linux && !darwin

package socket

import "golang.org/x/sys/unix"

const tcpKeepIdle = unix.TCP_KEEPIDLE

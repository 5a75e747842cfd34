package socket

import "golang.org/x/sys/unix"

// tcpKeepIdle has another name here.
const tcpKeepIdle = unix.TCP_KEEPALIVE

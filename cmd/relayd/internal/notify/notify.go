// Package notify tells the service manager how the service is: see sd_notify(3).
//
// It is our own, and not a module's: a message is one datagram, and what a
// relay needs beside it (to take the variables away from its children, to say
// nothing twice, to leave the watchdog alone when it does not live) is not in
// the modules that there are.
package notify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Manager is who started the service. The nil Manager is nobody, and hears
// nothing.
type Manager struct {
	to       net.UnixAddr
	watchdog time.Duration
	status   string // the last that was said
}

// New reads who is to be told from the environment, and removes it from there:
// programs that are started as stages must not speak for the service. It returns
// nil if nobody is.
func New() *Manager {
	path := os.Getenv("NOTIFY_SOCKET")
	watchdog := watchdogTime(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"))
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	// A path, or in the abstract namespace, which package net spells alike.
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") {
		return nil
	}
	return &Manager{to: net.UnixAddr{Name: path, Net: "unixgram"}, watchdog: watchdog}
}

// watchdogTime returns the time of the watchdog, or 0 if there is none for us.
func watchdogTime(usec, pid string) time.Duration {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64((1<<63-1)/time.Microsecond) {
		return 0
	}
	if pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Watchdog returns how long the manager waits for a sign of life before it takes
// the service for dead, and 0 if it does not. A sign is due at half of that time.
func (m *Manager) Watchdog() time.Duration {
	if m == nil {
		return 0
	}
	return m.watchdog
}

// Ready says that the service accepts connections.
func (m *Manager) Ready() error { return m.send("READY=1") }

// Reloading says that the service reads its configuration again; Ready says that
// it has.
func (m *Manager) Reloading() error {
	if m == nil {
		return nil
	}
	usec, ok := monotonic()
	if !ok {
		return m.send("RELOADING=1")
	}
	return m.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10))
}

// Alive is the sign of life.
func (m *Manager) Alive() error { return m.send("WATCHDOG=1") }

// Stopping says that the service is ending.
func (m *Manager) Stopping() error { return m.send("STOPPING=1") }

// Extend asks for so much time, from now, before a stop that takes its time is
// taken for one that hangs.
func (m *Manager) Extend(d time.Duration) error {
	return m.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// Status says in words how the service is, in one line, unless they are the
// last that were said.
func (m *Manager) Status(text string) error {
	text, _, _ = strings.Cut(text, "\n")
	if m == nil || text == m.status {
		return nil
	}
	err := m.send("STATUS=" + text)
	if err == nil {
		m.status = text
	}
	return err
}

// sendTimeout bounds how long a manager that does not listen holds us up.
const sendTimeout = time.Second

// send sends a message, on a socket of its own: messages are rare.
func (m *Manager) send(message string) error {
	if m == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &m.to)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := c.Write([]byte(message)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

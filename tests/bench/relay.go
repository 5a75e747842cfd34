// A relay is a peer that runs.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

type relay struct {
	addr  string // where it listens
	cmd   *exec.Cmd
	log   *os.File // what it prints
	ended chan struct{}
	err   error // how it ended
}

// A yard is where relays are started.
type yard struct {
	dir    string // for their files
	files  int    // that a process may have open
	keeper *keeper
	ports  atomic.Int32 // the last one that was used
	starts atomic.Int32
}

// The ports for relays lie below those that the kernel picks for connections.
const firstPort, lastPort = 20000, 29999

// start starts a relay and waits until it accepts.
func (y *yard) start(ctx context.Context, p peer, to, beside string) (*relay, error) {
	addr, err := y.freeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(y.dir, fmt.Sprintf("%03d-%s", y.starts.Add(1), p.name))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	cmd, err := p.command(route{listen: addr, to: to, beside: beside, dir: dir, maxFiles: y.files})
	if err != nil {
		return nil, err
	}
	r := &relay{addr: addr, cmd: cmd, ended: make(chan struct{})}
	if r.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	inGroup(cmd)
	if err := cmd.Start(); err != nil {
		r.log.Close()
		return nil, err
	}
	go r.wait()
	if err := errors.Join(y.keeper.add(cmd.Process.Pid), r.accepts(ctx)); err != nil {
		return nil, errors.Join(r.explain(err), y.stop(r))
	}
	return r, nil
}

// stop kills a relay with all its processes, and waits for it.
func (y *yard) stop(r *relay) error {
	killGroup(r.cmd.Process.Pid)
	<-r.ended
	r.log.Close()
	return y.keeper.remove(r.cmd.Process.Pid)
}

func (r *relay) wait() {
	r.err = r.cmd.Wait()
	close(r.ended)
}

// accepts waits until the relay accepts.
func (r *relay) accepts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := net.DialTimeout("tcp4", r.addr, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-r.ended:
			return errors.New("it did not start")
		case <-ctx.Done():
			return fmt.Errorf("it does not accept: %w", err)
		}
	}
}

// explain adds to an error what is known of the relay: that it has ended, and
// the last line that it printed.
func (r *relay) explain(err error) error {
	select {
	case <-r.ended:
		err = fmt.Errorf("%w (it has ended: %v)", err, r.cmd.ProcessState)
	case <-time.After(100 * time.Millisecond): // who is ending closes first, and then says why
	}
	if line := lastLine(r.log); line != "" {
		err = fmt.Errorf("%w; its last word: %s", err, line)
	}
	return err
}

// lastLine returns the end of a file, as far as it is fit to print.
func lastLine(f *os.File) string {
	const enough = 200
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(info.Size(), enough))
	if _, err := f.ReadAt(b, info.Size()-int64(len(b))); err != nil {
		return ""
	}
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// freeAddr returns an address where nobody listens.
func (y *yard) freeAddr() (string, error) {
	for range lastPort - firstPort {
		port := firstPort + int(y.ports.Add(1)-1)%(lastPort-firstPort+1)
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("no port from %d to %d is free", firstPort, lastPort)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// serveLies is a relay with one of these defects:
//
//	drop-up, drop-down    the thousandth byte is missing
//	flip-up, flip-down    it is changed
//	double-up             it comes twice
//	mute                  the client's FIN ends the answers, too
//	cut                   the answers end early, by a FIN
//	echo                  the client gets its own bytes
//	deaf                  nothing ever comes
//	quits                 it ends with the first connection
func serveLies(defect, listen, to string) error {
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		return err
	}
	defer l.Close()
	var conns sync.WaitGroup
	defer conns.Wait()
	first := true
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if defect == "quits" && !first {
			return errors.New("enough is enough")
		}
		first = false // it was bench, to see if there is a relay
		conns.Go(func() { lie(defect, c.(*net.TCPConn), to) })
	}
}

func lie(defect string, client *net.TCPConn, to string) {
	defer client.Close()
	if defect == "deaf" {
		io.Copy(io.Discard, client)
		return
	}
	if defect == "echo" {
		io.Copy(client, client)
		return
	}
	c, err := net.Dial("tcp4", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	upstream := c.(*net.TCPConn)
	defer upstream.Close()
	var up sync.WaitGroup
	up.Go(func() {
		io.Copy(&spoiler{w: upstream, defect: defect, up: true}, client)
		if defect == "mute" {
			client.Close()
		}
		upstream.CloseWrite()
	})
	io.Copy(&spoiler{w: client, defect: defect}, upstream)
	client.CloseWrite()
	up.Wait()
}

// A spoiler spoils the thousandth byte that is written to it.
type spoiler struct {
	w      io.Writer
	defect string
	up     bool
	n      int
}

const spoilt = 1000

func (s *spoiler) Write(b []byte) (int, error) {
	at := spoilt - s.n
	s.n += len(b)
	out := append([]byte(nil), b...)
	if at >= 0 && at < len(b) {
		side := "-down"
		if s.up {
			side = "-up"
		}
		switch s.defect {
		case "drop" + side:
			out = append(out[:at], b[at+1:]...)
		case "flip" + side:
			out[at] ^= 1
		case "double" + side:
			out = append(out[:at+1], b[at:]...)
		}
	}
	if s.defect == "cut" && !s.up && s.n > spoilt {
		return 0, errors.New("cut")
	}
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

package socket

import (
	"errors"
	"maps"
	"net"
	"sync"
	"syscall"
	"time"

	"relayd/lifetime"
	"relayd/lifetime/process"
)

// A Census finds sockets that the process holds and nobody answers for: those
// that are not in the tree. There should be none. It looks at stream sockets,
// TCP and Unix, because they are what this package makes.
//
// Accounted for are the sockets and the listeners of the tree, and what is
// written to its programs; those that are being dialled, until the TLS handshake
// is over if there is one; those that were open when the census began, such as
// standard input, the log's socket, and whatever else the process was started
// with; and those of a [Census.Listener]. A socket that still connects does not
// count.
//
// A look asks the system about each number in the process's table of
// descriptors (fstat(2), some 0.2µs each, and as many as were ever open at once)
// and walks the tree down to the sockets (some 0.2µs each). It stops nobody. It
// needs Linux, and /proc.
type Census struct {
	mu        sync.Mutex
	accounted map[uint64]bool // by inode
	last      time.Time       // of the last look
	suspects  map[uint64]bool // by inode: not accounted for at the last look
	strays    []Stray         // and not at the one before either
}

// A Stray is a socket that nobody answers for.
type Stray struct {
	Inode         uint64
	Local, Remote string // "" where there is none
}

// lookEvery is the least time between two looks. What is not accounted for in
// both is a stray: by then a socket has had all the time that it needs to get
// into the tree, or to be closed.
const lookEvery = time.Second

// ErrNoCensus is returned by [NewCensus] on a system where a process cannot tell
// its sockets apart.
var ErrNoCensus = errors.New("a census of sockets needs Linux")

// NewCensus begins a census. What is open now is accounted for.
func NewCensus() (*Census, error) {
	open, err := openSockets()
	if err != nil {
		return nil, err
	}
	c := &Census{accounted: make(map[uint64]bool)}
	for _, d := range open {
		c.accounted[d.inode] = true
	}
	return c, nil
}

// Strays returns the sockets that were not accounted for in the last two looks.
// It looks again if the last one was more than a second ago.
func (c *Census) Strays() ([]Stray, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) < lookEvery {
		return c.strays, nil
	}
	return c.look()
}

// look is Strays without regard to the time. c.mu is held.
func (c *Census) look() ([]Stray, error) {
	// In this order: what came after the first step is not in the list, and
	// what has gone before the last one is not there any more.
	open, err := openSockets()
	if err != nil {
		return nil, err
	}
	r := register()
	suspects := make(map[uint64]bool)
	var strays []Stray
	for _, d := range open {
		if r.has(d.number) || r.inodes[d.inode] || c.accounted[d.inode] || !d.counts() {
			continue
		}
		if c.suspects[d.inode] && !suspects[d.inode] {
			strays = append(strays, d.stray())
		}
		suspects[d.inode] = true
	}
	c.suspects, c.strays, c.last = suspects, strays, time.Now()
	return strays, nil
}

// An openSocket is a descriptor of a socket, as it was seen.
type openSocket struct {
	number int
	inode  uint64
}

// A registered is what is in the tree: sockets by the number of their
// descriptor, which costs no call to ask for, and listeners by inode. A number
// is enough: it was open before the tree was walked, so that a socket of the
// tree that has it now is the one that was seen, or its successor.
type registered struct {
	numbers []bool
	inodes  map[uint64]bool
}

func (r *registered) has(number int) bool { return number < len(r.numbers) && r.numbers[number] }

func (r *registered) add(number int) {
	if grow := number + 1 - len(r.numbers); grow > 0 {
		r.numbers = append(r.numbers, make([]bool, grow+len(r.numbers))...)
	}
	r.numbers[number] = true
}

// register walks the tree.
func register() registered {
	// First the dials that are under way: one that is over by now is in the tree.
	dials.mu.Lock()
	r := registered{inodes: maps.Clone(dials.inodes)}
	dials.mu.Unlock()
	if r.inodes == nil {
		r.inodes = make(map[uint64]bool)
	}
	lifetime.Walk(nil, func(n *lifetime.Node) bool {
		if s, ok := socketKind.Of(n); ok {
			if number, ok := s.number(); ok {
				r.add(number)
			}
			return false
		}
		for _, end := range process.Ends(n) {
			if number, ok := numberOf(end); ok {
				r.add(number)
			}
		}
		if l, ok := listenerKind.Of(n); ok {
			r.inodes[l.inode] = true
			return false
		}
		return true
	})
	return r
}

// number returns the number of the socket's descriptor, if it has one now.
func (s *Socket) number() (int, bool) {
	switch t := s.t.(type) {
	case interface{ ask(func(int) int) int }:
		n := t.ask(oneMore)
		return n - 1, n > 0
	case *foreignTransport:
		return numberOf(t.Conn)
	}
	return 0, false // of memory, or one that was there before us
}

// oneMore tells the descriptor 0 from none.
func oneMore(fd int) int { return fd + 1 }

// numberOf returns the number of a connection that may have others above it.
func numberOf(c any) (number int, ok bool) {
	for {
		above, isAbove := c.(interface{ NetConn() net.Conn }) // as *tls.Conn
		if !isAbove {
			break
		}
		c = above.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) { number = int(fd) })
	return number, err == nil
}

// inodeOfSource returns the inode of what a listener has its connections from.
func inodeOfSource(from source) uint64 {
	number, ok := 0, false
	switch from := from.(type) {
	case *kernelListener:
		number, ok = numberOf(from.netListener)
	case *once: // nobody has accepted it yet
		if t, isKernel := from.t.(*kernelTransport); isKernel {
			number = t.ask(oneMore) - 1
			ok = number >= 0
		}
	}
	if !ok {
		return 0
	}
	inode, _ := inodeOf(number)
	return inode
}

// Listener returns ln with whose connections c is content, and with ln itself,
// until they are closed: for servers beside the relay, whose sockets are not in
// the tree.
func (c *Census) Listener(ln net.Listener) net.Listener {
	return &countedListener{ln, c, c.account(ln)}
}

// account makes c content with a connection or a listener. It returns the inode,
// 0 if there is none.
func (c *Census) account(of any) uint64 {
	number, ok := numberOf(of)
	if !ok {
		return 0
	}
	inode, ok := inodeOf(number)
	if !ok {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounted[inode] = true
	return inode
}

// forget takes account back.
func (c *Census) forget(inode uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.accounted, inode)
}

// A countedListener is one that a census is content with.
type countedListener struct {
	net.Listener
	c     *Census
	inode uint64
}

// Accept waits for a connection that the census is content with, too.
func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{conn, l.c, l.c.account(conn)}, nil
}

// Close closes the listener.
func (l *countedListener) Close() error {
	defer l.c.forget(l.inode)
	return l.Listener.Close()
}

// A countedConn is a connection that a census is content with.
type countedConn struct {
	net.Conn
	c     *Census
	inode uint64
}

// NetConn returns the connection without the census.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection.
func (c *countedConn) Close() error {
	defer c.c.forget(c.inode)
	return c.Conn.Close()
}

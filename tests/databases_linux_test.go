package tests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// Databases and their own clients, through tunnels of every codec: what the
// client prints is what it prints without relayd.

// spawn runs a program until the end of the test, and waits until it listens at
// a Unix socket.
func spawn(t *testing.T, cmd *exec.Cmd, at string) socket.Address {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go waitFor(cmd, ended)
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT) // of postgres: end now, without waiting for clients
		<-ended
	})
	to := address(t, "unix://"+at)
	until(t, fmt.Sprintf("%s listens", cmd.Path), func() bool {
		select {
		case <-ended:
			t.Fatalf("%v: it has ended: %s", cmd.Args, &said)
		default:
		}
		_, err := os.Stat(at)
		return err == nil
	})
	return to
}

func waitFor(cmd *exec.Cmd, ended chan<- struct{}) {
	defer close(ended)
	cmd.Wait()
}

// said is what a program prints that gets stdin.
func said(t *testing.T, stdin string, path string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	call(t, strings.NewReader(stdin), &out, path, args...)
	return out.String()
}

// throughTunnels compares what a client prints at the server with what it prints
// at the near end of each tunnel.
func throughTunnels(t *testing.T, to socket.Address, client func(t *testing.T, at socket.Address) string) {
	direct := startRelay(t, relay.Config{To: to})
	want := client(t, direct.addr())
	if len(want) < 1000 {
		t.Fatalf("without a tunnel it says %q", want)
	}
	for _, n := range tunnels {
		t.Run(n.wrap, func(t *testing.T) {
			near, _ := n.ends(t, tcp4, to)
			if got := client(t, near.addr()); got != want {
				t.Errorf("it prints %d bytes that differ from the %d without a tunnel:\n%.300s", len(got), len(want), got)
			}
		})
	}
}

// Commands one at a time, each after the answer to the one before, values of a
// megabyte, ten thousand commands at once, and a client that waits for another
// one.
func TestRedis(t *testing.T) {
	leak.Check(t)
	server, cli := program.Need(t, "redis-server"), program.Need(t, "redis-cli")
	dir := t.TempDir()
	at := filepath.Join(dir, "s")
	to := spawn(t, exec.Command(server, "--port", "0", "--unixsocket", at, "--save", "", "--dir", dir), at)
	big := randomText(1 << 20)
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "SET key:%d value-of-%d\r\n", i, i)
	}
	throughTunnels(t, to, func(t *testing.T, at socket.Address) string {
		client := []string{"-h", at.Host, "-p", strconv.Itoa(int(at.Port)), "--no-raw"}
		out := said(t, "FLUSHALL\nINCR n\nINCR n\nRPUSH list a b c\nLRANGE list 0 -1\nGET none\nPING\n", cli, client...)
		said(t, big, cli, append(client, "-x", "SET", "big")...)
		out += said(t, "", cli, append(client, "GET", "big")...)
		piped := said(t, many.String(), cli, append(client, "--pipe")...)
		if !strings.Contains(piped, "errors: 0, replies: 10000") {
			t.Errorf("ten thousand at once: %s", piped)
		}
		out += said(t, "DBSIZE\nGET key:9999\n", cli, client...)
		popped := make(chan string)
		go pop(t, popped, cli, append(client, "BLPOP", "queue", "20")...)
		until(t, "a client waits", func() bool { return strings.Contains(said(t, "INFO clients\n", cli, client...), "blocked_clients:1") })
		said(t, "LPUSH queue job\n", cli, client...)
		return out + <-popped
	})
}

func pop(t *testing.T, to chan<- string, cli string, args ...string) { to <- said(t, "", cli, args...) }

// Queries, a result of ten megabytes, a table copied in and out, a transaction
// that fails, and a query that is cancelled from another connection.
func TestPostgres(t *testing.T) {
	leak.Check(t)
	psql := program.Need(t, "psql")
	to := startPostgres(t)
	rows := randomText(1 << 20)
	script := `
CREATE TEMPORARY TABLE t (n serial, line text);
\copy t (line) from pstdin
` + rows + `\.
SELECT count(*), md5(string_agg(line, '' ORDER BY n)) FROM t;
SELECT n, repeat(md5(n::text), 32) FROM generate_series(1, 10000) AS n;
\copy t to pstdout
BEGIN;
SELECT 1/0;
ROLLBACK;
SET statement_timeout = 50;
SELECT pg_sleep(20);
`
	throughTunnels(t, to, func(t *testing.T, at socket.Address) string {
		return said(t, script, psql, "-X", "-h", at.Host, "-p", strconv.Itoa(int(at.Port)), "-U", "someone", "-d", "postgres", "-v", "ON_ERROR_STOP=0")
	})
}

// startPostgres runs a server with a database of its own until the end of the
// test. Its user is someone.
func startPostgres(t *testing.T) socket.Address {
	t.Helper()
	initdb, postgres := program.Need(t, "initdb"), program.Need(t, "postgres")
	dir, err := os.MkdirTemp("", "relayd") // of a path short enough for a socket, that its user can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := notRoot(t, dir)
	data := filepath.Join(dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "someone", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
	create.SysProcAttr, create.Dir = as, dir
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", create.Args, err, out)
	}
	serve := exec.Command(postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	serve.SysProcAttr, serve.Dir = as, dir
	return spawn(t, serve, filepath.Join(dir, ".s.PGSQL.5432"))
}

// notRoot returns who runs what refuses to be run by root, and gives him dir: the
// user that the package of PostgreSQL makes. Who is not root is himself.
func notRoot(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// randomText is lines of letters, which compress a little: always the same.
func randomText(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte('a' + r.IntN(26)); i%100 == 99 {
			b[i] = '\n'
		}
	}
	b[n-1] = '\n'
	return string(b)
}

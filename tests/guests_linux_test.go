package tests

import (
	"bufio"
	"bytes"

	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"relayd/relay"
	"relayd/socket"
	"relayd/tests/leak"
	"relayd/tests/program"
)

// What others use a TCP connection for, with their own programs: over a plain
// relay, and over a tunnel. That they find nothing to complain about is what
// these tests want.

// ways calls f with the address of each way that leads to a server.
func ways(t *testing.T, to socket.Address, f func(t *testing.T, at socket.Address)) {
	t.Run("plain", func(t *testing.T) { f(t, startRelay(t, relay.Config{To: to}).addr()) })
	t.Run("tunnel", func(t *testing.T) {
		near, _ := tunnel{"zstd", "unzstd"}.ends(t, tcp4, to)
		f(t, near.addr())
	})
}

// port returns an address's port as programs take it.
func port(a socket.Address) string { return strconv.Itoa(int(a.Port)) }

// spawnAt runs a program that listens at a port of its own until the end of the
// test, and waits until it does. The arguments are made from the port.
func spawnAt(t *testing.T, path string, args func(port string) []string) socket.Address {
	t.Helper()
	a := closedPort(t)
	cmd := exec.Command(path, args(port(a))...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go waitFor(cmd, ended)
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%v said: %s", cmd.Args, &said)
		}
	})
	until(t, fmt.Sprintf("%s listens", path), func() bool {
		select {
		case <-ended:
			t.Fatalf("%v: it has ended: %s", cmd.Args, &said)
		default:
		}
		n, at := network(a)
		c, err := net.Dial(n, at)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return a
}

// Bulk in one direction, in the other, and in four streams at once. Not --bidir: for
// that iperf3 takes the order in which the server accepts two connections for the
// order in which the client opened them, and no relay that dials them side by side
// promises that.
func TestIperf(t *testing.T) {
	leak.Check(t)
	iperf := program.Need(t, "iperf3")
	to := spawnAt(t, iperf, func(port string) []string { return []string{"-s", "-B", "127.0.0.1", "-p", port, "--forceflush"} })
	ways(t, to, func(t *testing.T, at socket.Address) {
		for _, how := range [][]string{{}, {"-R"}, {"-P", "4"}} {
			args := append([]string{"-c", at.Host, "-p", port(at), "-n", "32M", "-J"}, how...)
			var report struct {
				Error string
				End   struct {
					Sent     struct{ Bytes int64 } `json:"sum_sent"`
					Received struct{ Bytes int64 } `json:"sum_received"`
				}
			}
			if err := json.Unmarshal([]byte(said(t, "", iperf, args...)), &report); err != nil || report.Error != "" {
				t.Fatalf("%v: %v, %s", how, err, report.Error)
			}
			// It ends over a connection of its own, and what is on its way in the others
			// then is not counted, with or without a relay.
			if e := report.End; e.Sent.Bytes < 32<<20 || e.Received.Bytes == 0 {
				t.Errorf("%v: %d bytes were sent, %d received", how, e.Sent.Bytes, e.Received.Bytes)
			}
		}
	})
}

// Fifty clients that pipeline, and not one error.
func TestRedisBenchmark(t *testing.T) {
	leak.Check(t)
	server, bench := program.Need(t, "redis-server"), program.Need(t, "redis-benchmark")
	dir := t.TempDir()
	sock := filepath.Join(dir, "s")
	to := spawn(t, exec.Command(server, "--port", "0", "--unixsocket", sock, "--save", "", "--dir", dir), sock)
	ways(t, to, func(t *testing.T, at socket.Address) {
		out := said(t, "", bench, "-h", at.Host, "-p", port(at), "-n", "4000", "-c", "50", "-P", "8", "-d", "200", "--csv", "-t", "ping,set,get,lpush,lrange_100")
		if n := strings.Count(out, "\n"); n < 6 || strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("it said %s", out)
		}
	})
}

// Eight clients that transfer money.
func TestPgbench(t *testing.T) {
	leak.Check(t)
	pgbench := program.Need(t, "pgbench")
	to := startPostgres(t)
	ways(t, to, func(t *testing.T, at socket.Address) {
		where := []string{"-h", at.Host, "-p", port(at), "-U", "someone", "postgres"}
		said(t, "", pgbench, append([]string{"-i", "-q"}, where...)...)
		out := said(t, "", pgbench, append([]string{"-c", "8", "-j", "2", "-t", "50"}, where...)...)
		if !strings.Contains(out, "actually processed: 400/400") || !strings.Contains(out, "failed transactions: 0") {
			t.Errorf("it said %s", out)
		}
	})
}

// Sixty-four clients that keep their connection, and as many that do not.
func TestWrk(t *testing.T) {
	leak.Check(t)
	wrk := program.Need(t, "wrk")
	to := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("hello ", 1000))
	}))
	ways(t, to, func(t *testing.T, at socket.Address) {
		for _, header := range []string{"Accept: */*", "Connection: close"} {
			out := said(t, "", wrk, "-t2", "-c64", "-d1s", "-H", header, "http://"+at.Host+":"+port(at)+"/")
			if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") || !strings.Contains(out, "requests in") {
				t.Errorf("%s: it said %s", header, out)
			}
		}
	})
}

// serveHTTP serves until the end of the test.
func serveHTTP(t *testing.T, h http.Handler) socket.Address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return address(t, ln.Addr().String())
}

// A command with its exit code, a file there and back by sftp, a folder by rsync,
// and a repository cloned and pushed to, all by ssh: what one types, and bulk.
func TestSSH(t *testing.T) {
	leak.Check(t)
	sshd, ssh, keygen := program.Need(t, "sshd"), program.Need(t, "ssh"), program.Need(t, "ssh-keygen")
	sftp, rsync, git := program.Need(t, "sftp"), program.Need(t, "rsync"), program.Need(t, "git")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"host", "user"} {
		said(t, "", keygen, "-q", "-t", "ed25519", "-N", "", "-f", in(name))
	}
	if os.Geteuid() == 0 { // where Debian's sshd gives up its privileges
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	to := spawnAt(t, sshd, func(port string) []string {
		return []string{"-D", "-e", "-f", "/dev/null", "-p", port, "-h", in("host"), "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none",
			"-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PermitRootLogin=yes", "-o", "AuthorizedKeysFile=" + in("user.pub"),
			"-o", "Subsystem=sftp internal-sftp", "-o", "MaxStartups=100"}
	})
	original := in("original")
	writeFile(t, original, bytesOf(3, 16<<20))
	ways(t, to, func(t *testing.T, at socket.Address) {
		options := []string{"-F", "none", "-i", in("user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}
		shell := strings.Join(append([]string{ssh, "-p", port(at)}, options...), " ")
		there := t.TempDir()

		cmd := exec.Command(ssh, append(options, "-p", port(at), at.Host, "cat; exit 7")...)
		cmd.Stdin = strings.NewReader("typed\n")
		if out, err := cmd.Output(); string(out) != "typed\n" || cmd.ProcessState.ExitCode() != 7 {
			t.Errorf("ssh: %q, %v", out, err)
		}
		said(t, fmt.Sprintf("put %s %s/put\nget %s/put %s/got\n", original, there, there, there), sftp,
			append(options, "-q", "-b", "-", "-P", port(at), at.Host)...)
		sameFile(t, original, filepath.Join(there, "got"))

		said(t, "", rsync, "-a", "--checksum", "-e", shell, original, at.Host+":"+there+"/synced")
		sameFile(t, original, filepath.Join(there, "synced"))

		t.Setenv("GIT_SSH_COMMAND", shell)
		for _, variable := range []string{"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"} {
			t.Setenv(variable, "someone")
		}
		bare, work := filepath.Join(there, "bare.git"), filepath.Join(there, "work")
		url := "ssh://" + at.Host + ":" + port(at) + bare
		said(t, "", git, "init", "-q", "--bare", "-b", "main", bare)
		said(t, "", git, "clone", "-q", url, work)
		writeFile(t, filepath.Join(work, "file"), bytesOf(4, 1<<20))
		for _, args := range [][]string{{"checkout", "-q", "-b", "main"}, {"add", "file"}, {"commit", "-q", "-m", "a file"}, {"push", "-q", "origin", "main"}} {
			said(t, "", git, append([]string{"-C", work}, args...)...)
		}
		said(t, "", git, "clone", "-q", url, filepath.Join(there, "again"))
		sameFile(t, filepath.Join(work, "file"), filepath.Join(there, "again", "file"))
	})
}

// rsync's own protocol, where the server speaks first.
func TestRsyncDaemon(t *testing.T) {
	leak.Check(t)
	rsync := program.Need(t, "rsync")
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		writeFile(t, filepath.Join(data, fmt.Sprint("file", i)), bytesOf(byte(i), int64(i)*20_000))
	}
	conf := filepath.Join(dir, "conf")
	settings := fmt.Sprintf("use chroot = no\n[all]\npath = %s\n", data)
	if os.Geteuid() == 0 { // else it would read the files as nobody
		settings += "uid = 0\ngid = 0\n"
	}
	writeFile(t, conf, strings.NewReader(settings))
	to := spawnAt(t, rsync, func(port string) []string {
		return []string{"--daemon", "--no-detach", "--config=" + conf, "--address=127.0.0.1", "--port=" + port}
	})
	ways(t, to, func(t *testing.T, at socket.Address) {
		there := t.TempDir()
		said(t, "", rsync, "-a", "rsync://"+at.Host+":"+port(at)+"/all/", there)
		for i := range 50 {
			name := fmt.Sprint("file", i)
			sameFile(t, filepath.Join(data, name), filepath.Join(there, name))
		}
	})
}

// A server that speaks first, and waits for a line between two of its own.
func TestSMTP(t *testing.T) {
	leak.Check(t)
	const mails = 20
	got := make(chan string, 2*mails)
	to := serve(t, address(t, "127.0.0.1:0"), func(c conn) { receiveMail(c, got) })
	ways(t, to, func(t *testing.T, at socket.Address) {
		for i := range mails {
			body := strings.Repeat(fmt.Sprintf("line of mail %d\r\n", i), 1+i*100)
			if err := smtp.SendMail(at.Host+":"+port(at), nil, "from@test", []string{"to@test"}, []byte(body)); err != nil {
				t.Fatal(err)
			}
			if mail := <-got; mail != strings.ReplaceAll(body, "\r\n", "\n") {
				t.Errorf("mail %d: %d bytes of %d", i, len(mail), len(body))
			}
		}
	})
}

// receiveMail is an SMTP server for one connection.
func receiveMail(c conn, got chan<- string) {
	p := textproto.NewConn(c)
	p.PrintfLine("220 test")
	for {
		line, err := p.ReadLine()
		if err != nil {
			return
		}
		switch command, _, _ := strings.Cut(line, " "); command {
		case "DATA":
			p.PrintfLine("354 go on")
			mail, err := p.ReadDotBytes()
			if err != nil {
				return
			}
			got <- string(mail)
			p.PrintfLine("250 taken")
		case "QUIT":
			p.PrintfLine("221 bye")
			return
		default:
			p.PrintfLine("250 test")
		}
	}
}

// Messages of all sizes, each way on its own.
func TestWebSocket(t *testing.T) {
	leak.Check(t)
	to := serveHTTP(t, websocket.Handler(func(ws *websocket.Conn) {
		websocket.Message.Send(ws, "welcome")
		for {
			var m []byte
			if websocket.Message.Receive(ws, &m) != nil {
				return
			}
			websocket.Message.Send(ws, m)
		}
	}))
	ways(t, to, func(t *testing.T, at socket.Address) {
		host := at.Host + ":" + port(at)
		ws, err := websocket.Dial("ws://"+host+"/", "", "http://"+host)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		ws.SetDeadline(time.Now().Add(patience))
		var hello string
		if err := websocket.Message.Receive(ws, &hello); err != nil || hello != "welcome" {
			t.Fatalf("%q, %v", hello, err)
		}
		for n := 1; n <= 1<<20; n *= 4 {
			want, _ := io.ReadAll(bytesOf(byte(n), int64(n)))
			if err := websocket.Message.Send(ws, want); err != nil {
				t.Fatal(err)
			}
			var m []byte
			if err := websocket.Message.Receive(ws, &m); err != nil || !bytes.Equal(m, want) {
				t.Fatalf("a message of %d bytes: %d came back, %v", n, len(m), err)
			}
		}
	})
}

// writeFile writes all of r.
func writeFile(t *testing.T, name string, r io.Reader) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// sameFile wants two files to have the same bytes.
func sameFile(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(got); err != nil || !bytes.Equal(a, b) {
		t.Fatalf("%s has %d bytes, %v; want the %d of %s", got, len(b), err, len(a), want)
	}
}

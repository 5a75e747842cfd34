package service

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"relayd/tests/program"
)

// psql through a tunnel of two relayds that know each other by certificates: who
// has one that is not in the list gets nowhere, and both ends say why.
func TestPsqlOverTLS(t *testing.T) {
	psql := program.Need(t, "psql")
	postgres := startPostgres(t)
	certs := t.TempDir()
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	ours.write(filepath.Join(certs, "ca.crt"), "CERTIFICATE", ours.cert.Raw)
	for _, name := range []string{"far", "app", "intern"} {
		ours.issue(certs, name)
	}
	others.issue(certs, "stranger")
	far, farAt := relayd(t, "testdata/far.yaml", []string{"ON=127.0.0.1:0", "POSTGRES=" + postgres, "CERTS=" + certs}, nil)

	near := func(t *testing.T, name string) (*proc, []string) {
		p, at := relayd(t, "testdata/near.yaml", []string{"ON=127.0.0.1:0", "FAR=" + farAt[0], "CERTS=" + certs, "NAME=" + name}, nil)
		host, port, err := net.SplitHostPort(at[0])
		if err != nil {
			t.Fatal(err)
		}
		return p, []string{"-X", "-q", "-At", "-h", host, "-p", port, "-U", "someone", "-d", "postgres"}
	}
	t.Run("app", func(t *testing.T) {
		_, args := near(t, "app")
		queries := exec.Command(psql, append(args, "-c", "SELECT sum(length(repeat(md5(n::text), 32))) FROM generate_series(1, 10000) AS n",
			"-c", `COPY (SELECT repeat(md5(n::text), 32) FROM generate_series(1, 10000) AS n) TO STDOUT`)...)
		lines := strings.Split(output(t, queries), "\n")
		if lines[0] != "10240000" || len(lines) != 1+10_000+1 {
			t.Errorf("psql prints %d lines that begin with %q", len(lines), lines[0])
		}
	})
	for _, is := range []struct{ name, why string }{{"intern", "not one that is allowed: it has CN:intern"}, {"stranger", "an authority that is not trusted here"}} {
		t.Run(is.name, func(t *testing.T) {
			p, args := near(t, is.name)
			out, err := exec.Command(psql, append(args, "-c", "SELECT 1")...).CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("server closed the connection unexpectedly")) && !bytes.Contains(out, []byte("Connection reset by peer")) {
				t.Errorf("psql: %v\n%s", err, out)
			}
			t.Log(far.saying(t, "conn ended", "reason=tls-failed", is.why))
			t.Log(p.saying(t, "conn ended", "reason=tls-failed", "first_closer=upstream", "target=far", "the peer refuses", "our certificate"))
		})
	}
}

// startPostgres runs a server until the end of the test. Its user is someone. It
// returns the path of its socket.
func startPostgres(t *testing.T) string {
	t.Helper()
	initdb, postgres := program.Need(t, "initdb"), program.Need(t, "postgres")
	dir, err := os.MkdirTemp("", "relayd") // of a path short enough for a socket, that its user can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as, data := notRoot(t, dir), filepath.Join(dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "someone", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
	create.SysProcAttr, create.Dir = as, dir
	output(t, create)
	serve := exec.Command(postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	serve.SysProcAttr, serve.Dir = as, dir
	p := spawn(t, serve)
	p.quit = syscall.SIGINT // end now, without waiting for clients
	at := filepath.Join(dir, ".s.PGSQL.5432")
	p.saying(t, "database system is ready to accept connections")
	return at
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

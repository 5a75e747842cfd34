package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// becoming is set for the process that becomes somebody else: there is no way
// back.
const becoming = "RELAYD_TEST_BECOMES"

// becomes runs the test once more in a process of its own.
func becomes(t *testing.T, account string, attributes *syscall.SysProcAttr) {
	t.Helper()
	// By the link, because the directory of a test binary is its owner's alone.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), becoming+"="+account)
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "seen to hold") {
		t.Errorf("%s: %v\n%s", account, err, out)
	}
}

// The whole process becomes another user, threads that are there already
// included, and cannot go back. Who is not root gets to hear it.
func TestBecome(t *testing.T) {
	text := os.Getenv(becoming)
	if text == "" {
		if os.Getuid() == 0 {
			becomes(t, "54321:12345", nil)
			becomes(t, "54321:54321", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}})
		}
		becomes(t, strconv.Itoa(os.Getuid())+":"+strconv.Itoa(os.Getgid()), nil)
		return
	}
	a, err := Lookup(text)
	if err != nil {
		t.Fatal(err)
	}
	stop, questions := make(chan struct{}), make(chan chan int)
	defer close(stop)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			for {
				select {
				case answer := <-questions:
					answer <- syscall.Geteuid()
				case <-stop:
					return
				}
			}
		}()
	}
	if err := a.Become(); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		answer := make(chan int)
		questions <- answer
		if got := <-answer; got != a.UID {
			t.Errorf("a thread is user %d", got)
		}
	}
	if a.UID != 0 {
		if err := syscall.Setuid(0); err == nil {
			t.Error("it can go back")
		}
		if err := (Account{Name: "root"}).Become(); !errors.Is(err, ErrNotRoot) {
			t.Errorf("becoming root: %v", err)
		}
	}
	fmt.Println("seen to hold")
}

// What is still there is found and named.
func TestCheck(t *testing.T) {
	a := Account{Name: "x", UID: 7, GID: 8, Groups: []int{9, 8}}
	good := "Name:\trelayd\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t8 9 \n" +
		"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n" +
		"CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
	if err := a.check(good); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{"Uid:\t7\t7\t7", "Uid:\t7\t7\t0", `its users are "7 7 0 7", not "7 7 7 7"`},
		{"Gid:\t8", "Gid:\t0", `its groups are "0 8 8 8", not "8 8 8 8"`},
		{"Groups:\t8 9 ", "Groups:\t0 8 9 ", `its supplementary groups are "0 8 9", not "8 9"`},
		{"CapPrm:\t0000", "CapPrm:\t0004", `its capabilities CapPrm are "0004000000000000", not none`},
		{"CapAmb:", "Cap:", `its capabilities CapAmb are "", not none`},
		{"NoNewPrivs:\t1", "NoNewPrivs:\t0", `NoNewPrivs is "0", not 1`},
	} {
		err := a.check(strings.Replace(good, tt.old, tt.new, 1))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.new, err, tt.want)
		}
	}
}

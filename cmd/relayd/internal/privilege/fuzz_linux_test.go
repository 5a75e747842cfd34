package privilege

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Whatever the status of a thread says: it is taken for the account's only if
// each line that counts is there, and says that.
func FuzzStatus(f *testing.F) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(status), 0)
	f.Add("Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t8 9 \nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapAmb:\t0000\nNoNewPrivs:\t1\n", 7)
	f.Add("Uid:\t7\t7\t7\t0\nUid:\t7 7 7 7\nGid:\t8\t8\t8\t8\nNoNewPrivs:1", 7)
	f.Fuzz(func(t *testing.T, status string, uid int) {
		a := Account{Name: "x", UID: uid, GID: 8, Groups: []int{9, 8}}
		if err := a.check(status); err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("the error is %q", err)
			}
			return
		}
		if n := countLines(status, "Uid", uid); n < 4 {
			t.Errorf("%q has %d times %d", status, n, uid)
		}
		if !slices.Contains(strings.Fields(lastLine(status, "NoNewPrivs")), "1") {
			t.Errorf("%q has privileges to get", status)
		}
		if uid != 0 && strings.Trim(lastLine(status, "CapEff"), "0 \t\r\n\v\f\u0085\u00a0") != "" {
			t.Errorf("%q has capabilities", status)
		}
	})
}

// lastLine is the value of the last line of a name.
func lastLine(status, name string) (value string) {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			value = v
		}
	}
	return value
}

func countLines(status, name string, n int) (count int) {
	for _, word := range strings.Fields(lastLine(status, name)) {
		if word == strconv.Itoa(n) {
			count++
		}
	}
	return count
}

// Whoever is to be become: a number that is taken is one of an account, and what
// the system takes for no change is not.
func FuzzLookup(f *testing.F) {
	for _, text := range []string{"root", "0", "0:0", "root:root", "54321:12345", "4294967295:1", "1:4294967295", "-1:-1", ":", "a:", ":a", "x:y:z", "+1:+1", "\x1b[2J", "54321"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Lookup(text)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("the error is %q", err)
			}
			return
		}
		if a.UID < 0 || a.GID < 0 || uint64(a.UID) >= 1<<32-1 || uint64(a.GID) >= 1<<32-1 || len(a.Groups) == 0 || a.Groups[0] != a.GID {
			t.Errorf("%q is %+v", text, a)
		}
		if again, err := Lookup(a.Owner()); err != nil || again.UID != a.UID || again.GID != a.GID {
			t.Errorf("%q is %q, which is %+v, %v", text, a.Owner(), again, err)
		}
	})
}

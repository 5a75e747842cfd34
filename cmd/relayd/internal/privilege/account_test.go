package privilege

import (
	"fmt"
	"os/user"
	"strconv"
	"testing"
)

func TestLookup(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(me.Uid)
	gid, _ := strconv.Atoi(me.Gid)
	for _, text := range []string{me.Username, me.Uid} {
		a, err := Lookup(text)
		if err != nil || a.UID != uid || a.GID != gid || len(a.Groups) == 0 || a.Groups[0] != gid {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	a, err := Lookup("123456:654321")
	if got, want := fmt.Sprint(a), "{123456:654321 123456 654321 [654321]}"; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if a.Owner() != "123456:654321" {
		t.Errorf("owner %s", a.Owner())
	}
	for text, want := range map[string]string{
		"":                `user "": it is written USER or USER:GROUP, by name or number`,
		":x":              `user ":x": it is written USER or USER:GROUP, by name or number`,
		"x:":              `user "x:": it is written USER or USER:GROUP, by name or number`,
		"no such one":     `user "no such one": there is none of that name or number`,
		"123456":          `user "123456": there is none of that name or number`,
		"-1:1":            `user "-1": there is none of that name or number`,
		"4294967295:1":    `user "4294967295": there is none of that name or number`,
		"1:no such group": `group "no such group": there is none of that name`,
		"1:4294967295":    `group "4294967295": there is none of that name`,
	} {
		if _, err := Lookup(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

package sandbox

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	abi "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// What an access is to Landlock: its rights over files, and those over
// directories alone.
var rights = []struct {
	may       access
	file, dir landlock.AccessFSSet
}{
	{read, abi.AccessFSReadFile, abi.AccessFSReadDir},
	{run, abi.AccessFSExecute, 0},
	{write, abi.AccessFSWriteFile | abi.AccessFSTruncate, 0},
	{create, 0, abi.AccessFSMakeReg | abi.AccessFSMakeSock},
	{remove, 0, abi.AccessFSRemoveFile},
	{change, abi.AccessFSIoctlDev, abi.AccessFSMakeDir | abi.AccessFSRemoveDir | abi.AccessFSMakeSym |
		abi.AccessFSMakeFifo | abi.AccessFSRefer},
}

// never is allowed to nobody: making devices.
const never = abi.AccessFSMakeChar | abi.AccessFSMakeBlock

// knownSince returns the rights that a version of Landlock knows.
func knownSince(version int) landlock.AccessFSSet {
	all := landlock.AccessFSSet(never)
	for _, r := range rights {
		all |= r.file | r.dir
	}
	for _, newer := range []struct {
		since int
		right landlock.AccessFSSet
	}{{2, abi.AccessFSRefer}, {3, abi.AccessFSTruncate}, {5, abi.AccessFSIoctlDev}} {
		if version < newer.since {
			all &^= newer.right
		}
	}
	return all
}

// rights returns the rights that a grant gives.
func (g grant) rights() (set landlock.AccessFSSet) {
	for _, r := range rights {
		if g.may&r.may == 0 {
			continue
		}
		set |= r.file
		if g.dir {
			set |= r.dir
		}
	}
	return set
}

// Version returns the version of the kernel's Landlock, 0 if it has none or it is
// not enabled.
func Version() int {
	version, err := abi.LandlockGetABIVersion()
	if err != nil || version < 1 {
		return 0
	}
	return version
}

// restrict leaves the process the given grants. It returns the version of the
// kernel's Landlock, and why nothing is restricted, if so.
func restrict(list []grant) (version int, why string, err error) {
	if version = Version(); version == 0 {
		return 0, "the kernel has no Landlock, or it is not enabled", nil
	}
	known := knownSince(version)
	config, err := landlock.NewConfig(known)
	if err != nil {
		return version, "", fmt.Errorf("landlock: %w", err)
	}
	var rules []landlock.Rule
	for _, g := range list {
		if set := g.rights() & known; set != 0 {
			rules = append(rules, landlock.PathAccess(set, g.path).IgnoreIfMissing())
		}
	}
	if err := config.RestrictPaths(rules...); err != nil {
		return version, "", fmt.Errorf("landlock: %w", err)
	}
	return version, "", nil
}

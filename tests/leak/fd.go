package leak

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// fdDir lists the process's own file descriptors: Linux has it always under
// /proc, macOS under /dev.
var fdDir = func() string {
	if _, err := os.Stat("/proc/self/fd"); err == nil {
		return "/proc/self/fd"
	}
	return "/dev/fd"
}()

// openFDs returns the open file descriptors, each with what tells its file from
// another file.
func openFDs() map[int]os.FileInfo {
	dir, err := os.Open(fdDir)
	if err != nil {
		panic("leak: cannot list file descriptors: " + err.Error())
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		panic("leak: cannot list file descriptors: " + err.Error())
	}
	own := int(dir.Fd())
	fds := make(map[int]os.FileInfo)
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil || n == own {
			continue
		}
		// It may have been closed since, and is no leak then.
		if info, err := os.Stat(filepath.Join(fdDir, name)); err == nil {
			fds[n] = info
		}
	}
	return fds
}

// isProfile reports whether a file is one that the testing package opens for a
// flag and leaves open to the process's end.
func isProfile(file os.FileInfo) bool {
	for _, name := range []string{"test.cpuprofile", "test.trace"} {
		path := flagValue(name)
		if path == "" {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(flagValue("test.outputdir"), path)
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}

func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// describe says what a file descriptor refers to.
func describe(fd int) string {
	var parts []string
	// Only Linux has a link here.
	if target, err := os.Readlink(filepath.Join(fdDir, strconv.Itoa(fd))); err == nil {
		parts = append(parts, target)
	}
	if local, err := syscall.Getsockname(fd); err == nil {
		parts = append(parts, "local "+sockaddr(local))
	}
	if remote, err := syscall.Getpeername(fd); err == nil {
		parts = append(parts, "remote "+sockaddr(remote))
	}
	if len(parts) == 0 {
		return "of unknown kind"
	}
	return strings.Join(parts, ", ")
}

func sockaddr(a syscall.Sockaddr) string {
	switch a := a.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrUnix:
		return fmt.Sprintf("unix %q", a.Name)
	default:
		return fmt.Sprintf("%T", a)
	}
}

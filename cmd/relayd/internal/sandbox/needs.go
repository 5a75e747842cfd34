package sandbox

// What a process may need of the file system, and common parts of it.

import (
	"os"
	"path/filepath"
)

// Needs are paths that a process works with. Relative ones are of the working
// directory. A path that is not there is left out, and said.
type Needs struct {
	// Read are files, and directories with all below them, that are read.
	Read []string
	// Write are files that are made, read and written, also when another one has
	// taken their place: other files of their directory may be as well. Below a
	// directory everything may be made, changed and removed.
	Write []string
	// Exec are programs, and directories with programs below them.
	Exec []string
	// Create are directories in which sockets and files are made, written and
	// removed. Directories below them stay as they are.
	Create []string
}

// Add adds what others need.
func (n *Needs) Add(others ...Needs) {
	for _, o := range others {
		n.Read = append(n.Read, o.Read...)
		n.Write = append(n.Write, o.Write...)
		n.Exec = append(n.Exec, o.Exec...)
		n.Create = append(n.Create, o.Create...)
	}
}

// Base is what every process of ours needs: to look at itself and its limits,
// to know the time zone, and to have nothing to read and write. It is all of
// /proc, because a rule is about an inode, and the kernel may make new ones for
// what is below it; what others have there that is private, their memory and
// environment, Landlock keeps from us all the same.
func Base() Needs {
	return Needs{
		Read: []string{
			"/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu",
			"/etc/localtime", "/usr/share/zoneinfo",
		},
		Write: []string{os.DevNull},
	}
}

// Names is what looking up the names of hosts, users and services takes. It is
// all of /etc: files there are replaced when they change, and most of all
// resolv.conf, which may be a link to elsewhere.
func Names() Needs {
	n := Needs{Read: []string{"/etc"}}
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"} {
		if file, err := filepath.EvalSymlinks(name); err == nil {
			n.Read = append(n.Read, filepath.Dir(file))
		}
	}
	return n
}

// Roots are the certificates of the authorities that the system trusts, in the
// places where crypto/x509 looks for them, once it needs them: there is a variable
// for its file, and one for its directories. The usual file may be a link to
// elsewhere.
func Roots() Needs {
	n := Needs{Read: []string{"/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/pki"}}
	files := []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}
	if name := os.Getenv("SSL_CERT_FILE"); name != "" {
		n.Read = append(n.Read, filepath.Dir(name))
		files = []string{name}
	}
	for _, name := range files {
		if file, err := filepath.EvalSymlinks(name); err == nil {
			n.Read = append(n.Read, filepath.Dir(file))
		}
	}
	if list := os.Getenv("SSL_CERT_DIR"); list != "" {
		n.Read = append(n.Read, filepath.SplitList(list)...)
	}
	return n
}

// Programs is what a program of this system may take to run at all: itself and
// what is installed beside it, the system's settings, devices, and a place for
// temporary files. What it works with is not in here.
func Programs() Needs {
	return Needs{
		Read:  []string{"/etc", "/proc", "/sys", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"},
		Exec:  []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix/store", "/gnu/store", "/snap"},
		Write: []string{"/dev", os.TempDir(), "/var/tmp"},
	}
}

package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"relayd/tests/program"
)

const version = "1.2.3"

// What the packages are called.
var (
	debName   = "relayd_" + version + "-1_" + runtime.GOARCH + ".deb"
	imageName = "relayd-" + version + "-" + runtime.GOARCH + ".image.tar"
)

// The packages are built, twice, and are the same; and what is in them works.
func TestPackages(t *testing.T) {
	for _, name := range []string{"dpkg-deb", "rpm2cpio", "cpio", "mandoc"} {
		program.Need(t, name)
	}
	seeSources(t)
	out, again := build(t), build(t)
	names := list(t, out)
	if len(names) != 3 || !slices.Contains(names, debName) || !slices.Contains(names, imageName) {
		t.Fatalf("it has built %v", names)
	}
	for _, name := range names {
		if hash(t, filepath.Join(out, name)) != hash(t, filepath.Join(again, name)) {
			t.Errorf("%s: built again it is another", name)
		}
	}
	t.Run("deb", func(t *testing.T) {
		root := t.TempDir()
		run(t, "", "dpkg-deb", "-x", filepath.Join(out, debName), root)
		checkTree(t, root, "usr/share/doc/relayd/copyright", "usr/share/zsh/vendor-completions/_relayd")
		if got := run(t, "", "dpkg-deb", "-f", filepath.Join(out, debName), "Version", "Architecture"); !strings.Contains(got, "Version: "+version+"-1\n") {
			t.Errorf("it is %s", got)
		}
	})
	t.Run("rpm", func(t *testing.T) {
		rpm, _ := filepath.Glob(filepath.Join(out, "*.rpm"))
		if len(rpm) != 1 {
			t.Fatalf("rpms: %v", rpm)
		}
		root := t.TempDir()
		// Names in there begin with a slash: without the last option, root would
		// install it.
		run(t, root, "sh", "-c", `rpm2cpio "$0" | cpio -id --quiet --no-absolute-filenames`, rpm[0])
		checkTree(t, root, "usr/share/licenses/relayd/LICENSE", "usr/share/zsh/site-functions/_relayd")
	})
	t.Run("image", func(t *testing.T) { checkImage(t, filepath.Join(out, imageName)) })
}

// build runs the script.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("./build", dir)
	cmd.Env = append(os.Environ(), "VERSION=v"+version, "SOURCE_DATE_EPOCH=1700000000", "ARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// Versions that a package cannot have are refused, before anything is built.
func TestBuildRefuses(t *testing.T) {
	for _, env := range []string{"VERSION=next", "VERSION=1 2", "SOURCE_DATE_EPOCH=today"} {
		cmd := exec.Command("./build", t.TempDir())
		cmd.Env = append(os.Environ(), "VERSION=1", "SOURCE_DATE_EPOCH=1", env)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), env+": it ") {
			t.Errorf("%s: %v\n%s", env, err, out)
		}
	}
}

// seeSources has a look at all sources, so that a result of before does not count
// when one has changed: go test knows what a test has opened, and not what the
// programs have that it runs.
func seeSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program, and returns its output.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func hash(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// checkTree looks through what a package installs.
func checkTree(t *testing.T, root string, others ...string) {
	t.Helper()
	files := append([]string{
		"etc/relayd/relayd.env",
		"usr/bin/relayd",
		"usr/lib/systemd/system/relayd.service",
		"usr/lib/systemd/system/relayd.socket",
		"usr/share/bash-completion/completions/relayd",
		"usr/share/doc/relayd/LICENSES",
		"usr/share/fish/vendor_completions.d/relayd.fish",
		"usr/share/man/man1/relayd.1.gz",
		"usr/share/man/man1/relayd-ps.1.gz",
	}, others...)
	for _, name := range files {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkBinary(t, filepath.Join(root, "usr/bin/relayd"), nil)
	run(t, root, "bash", "-n", "usr/share/bash-completion/completions/relayd")
	pages, _ := filepath.Glob(filepath.Join(root, "usr/share/man/man1/*.gz"))
	for _, page := range pages {
		text := gunzip(t, page)
		if !strings.Contains(text, `"relayd `+version+`"`) {
			t.Errorf("%s is of another version", page)
		}
		cmd := exec.Command("mandoc", "-Tlint", "-W", "warning")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
	}
	licences, err := os.ReadFile(filepath.Join(root, "usr/share/doc/relayd/LICENSES"))
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"Go go1.", "github.com/klauspost/compress v", "github.com/spf13/cobra v", "golang.org/x/sys v"} {
		if !bytes.Contains(licences, []byte("\n======== "+module)) {
			t.Errorf("no licence of %s", module)
		}
	}
}

func gunzip(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkBinary looks whether a binary is whole, and relays. In an image, if there is
// one, and root may, it runs as it would there.
func checkBinary(t *testing.T, path string, in *image) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 || file.Section(".interp") != nil {
		t.Errorf("it is not static: %v, %v", libraries, err)
	}
	dir := t.TempDir()
	if in != nil {
		dir = filepath.Join(in.root, "run")
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		if in != nil && os.Getuid() == 0 {
			cmd.Path, cmd.Dir = "/usr/bin/relayd", "/"
			cmd.Env = in.env
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: in.root, Credential: &syscall.Credential{Uid: in.user, Gid: in.user}}
		}
		return cmd
	}
	name := func(file string) string {
		if in != nil && os.Getuid() == 0 {
			return "/run/" + file
		}
		return filepath.Join(dir, file)
	}
	out, err := command("version").CombinedOutput()
	if want := fmt.Sprintf("relayd %s %s linux/%s\n", version, runtime.Version(), runtime.GOARCH); err != nil || string(out) != want {
		t.Fatalf("version: %v, %q, want %q", err, out, want)
	}
	cmd := command("-l", name("s"), "--ready-file", name("ready"), "--admin", "none")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	await(t, filepath.Join(dir, "ready"), &log)
	c, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "hello")
	c.(*net.UnixConn).CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	cmd.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}

// patience bounds every wait: only what hangs waits it out.
const patience = 20 * time.Second

// await waits until a file is there.
func await(t *testing.T, path string, log fmt.Stringer) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("%s does not come\n%s", path, log)
		}
	}
}

// An image is one that was unpacked.
type image struct {
	root string
	user uint32
	env  []string
}

// checkImage unpacks an image as those who load it do, and runs it.
func checkImage(t *testing.T, path string) {
	dir := t.TempDir()
	untar(t, path, dir)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	readJSON(t, filepath.Join(dir, "manifest.json"), &manifest)
	if len(manifest) != 1 || len(manifest[0].Layers) != 1 || fmt.Sprint(manifest[0].RepoTags) != "[relayd:"+version+"]" {
		t.Fatalf("manifest: %+v", manifest)
	}
	configFile := filepath.Join(dir, manifest[0].Config)
	if sum := hash(t, configFile); sum+".json" != manifest[0].Config {
		t.Errorf("the configuration %s has hash %s", manifest[0].Config, sum)
	}
	var config struct {
		Architecture, OS string
		Config           struct {
			User       string
			Env        []string
			Entrypoint []string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	readJSON(t, configFile, &config)
	layer := filepath.Join(dir, manifest[0].Layers[0])
	if want := "[sha256:" + hash(t, layer) + "]"; fmt.Sprint(config.RootFS.DiffIDs) != want {
		t.Errorf("layers %v, want %s", config.RootFS.DiffIDs, want)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH || config.Config.User != "65532:65532" ||
		fmt.Sprint(config.Config.Entrypoint) != "[/usr/bin/relayd]" {
		t.Errorf("configuration: %+v", config)
	}
	crane := strings.TrimSpace(run(t, "../../..", "go", "tool", "-modfile=tests/tools.mod", "-n", "crane"))
	run(t, "", crane, "validate", "--tarball", path)
	root := t.TempDir()
	untar(t, layer, root)
	// The directories above are their owner's alone: the image's user gets here by
	// chroot, as root does.
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	checkBinary(t, filepath.Join(root, "usr/bin/relayd"), &image{root, 65532, config.Config.Env})
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// untar unpacks a tar of files and directories, and checks whose they are and of
// what time.
func untar(t *testing.T, path, dir string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := tar.NewReader(file)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1700000000 {
			t.Errorf("%s is %d:%d's, of %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, 0o755)
		} else {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(name, data, 0o600)
			}
		}
		if err == nil {
			err = os.Chmod(name, h.FileInfo().Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

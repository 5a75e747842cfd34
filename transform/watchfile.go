package transform

// The files that watching stages write to.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// fileForm says how the name of a file may be written.
const fileForm = "%c stands for the conn's id, %d for up or down, %% for a percent sign"

// canonFile is the canon of an option that names a file.
func canonFile(value string) (string, error) {
	if strings.ContainsRune(value, 0) {
		return "", errors.New("want the name of a file: it has a zero byte")
	}
	for rest := value; ; {
		_, after, ok := strings.Cut(rest, "%")
		if !ok {
			return value, nil
		}
		if after == "" || !strings.Contains("cd%", after[:1]) {
			return "", errors.New("want the name of a file: in it " + fileForm)
		}
		rest = after[1:]
	}
}

// fileName puts what a site knows into a canonical name.
func fileName(name string, at *Site) string {
	return strings.NewReplacer("%%", "%", "%c", orNone(at.Conn), "%d", orNone(at.Direction)).Replace(name)
}

// orNone is for sites that know nothing.
func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return strings.ReplaceAll(text, string(os.PathSeparator), "_")
}

// appendFile opens a file to be written at its end, and makes it if there is
// none, for our own user alone. It does not wait for the reader of a FIFO, and
// unless fifo allows them takes none: a write to one may wait for ever.
func appendFile(name string, flag int, fifo bool) (*os.File, error) {
	f, err := os.OpenFile(name, flag|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("%w: nobody reads from it", err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !fifo && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a pipe, not a file: stage tee can write to it")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

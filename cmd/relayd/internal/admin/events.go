package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxEvent is more than the progress of a drain takes.
const maxEvent = 64 << 10

var errLongEvent = fmt.Errorf("the progress of the drain cannot be read: a step has more than %d KiB", maxEvent>>10)

// readEvents reads server-sent events until the one that is called "over". The
// format is that of the HTML standard, section 9.2; what our server does not
// send is skipped.
func readEvents(r io.Reader, f func(Drain)) error {
	lines := bufio.NewScanner(r)
	name, data := "", ""
	for lines.Scan() {
		line := lines.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			if len(data)+len(value) > maxEvent {
				return errLongEvent
			}
			data += value + "\n"
		case "":
			if line != "" || data == "" {
				continue // a comment, or an event of nothing
			}
			var d Drain
			if err := json.Unmarshal([]byte(data), &d); err != nil {
				return fmt.Errorf("the progress of the drain cannot be read: %w", err)
			}
			f(d)
			if name == "over" {
				return nil
			}
			name, data = "", ""
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

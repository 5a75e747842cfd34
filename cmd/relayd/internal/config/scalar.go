package config

// Numbers, times and words, as they are written: 0 and off are one.

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A pattern describes texts to a schema.
type pattern struct {
	expr   string // a regular expression, "" for any text
	also   string // another one
	format string // what no expression can describe
	words  []string
	max    int64 // the greatest number
	min    int64
	length int // the longest text
}

const (
	off      = "off"
	maxCount = 1_000_000_000
)

// A Version is that of the format.
type Version int

func (v *Version) set(text string, _ *field) error {
	if text != "1" {
		return fmt.Errorf("%s is not a version that this relayd reads: write 1", show(text))
	}
	*v = 1
	return nil
}

func (v *Version) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.Itoa(int(*v))
}

func (v *Version) takes() scalars         { return integers }
func (v *Version) pattern(*field) pattern { return pattern{expr: "^1$", min: 1, max: 1} }

// A Duration is a time. 0 is off.
type Duration time.Duration

const durationExpr = `^(off|0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`

var durationShape = regexp.MustCompile(durationExpr)

func (d *Duration) set(text string, f *field) error {
	if text == off || text == "0" {
		text = "0s"
	}
	t, err := time.ParseDuration(text)
	if err != nil || !durationShape.MatchString(text) {
		if _, e := strconv.ParseFloat(text, 64); e == nil {
			return fmt.Errorf("%s has no unit: write 500ms, 30s, 5m, 1h30m, or off", show(text))
		}
		return fmt.Errorf("%s is not a time: write 500ms, 30s, 5m, 1h30m, or off", show(text))
	}
	if t == 0 && f.min > 0 {
		return errors.New("this time cannot be off: write 500ms, 30s, 5m or 1h30m")
	}
	*d = Duration(t)
	return nil
}

// String leaves out the zeros that time.Duration writes: 5m.
func (d *Duration) String() string {
	if *d == 0 {
		return off
	}
	s := time.Duration(*d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d *Duration) takes() scalars { return texts | integers }
func (d *Duration) pattern(f *field) pattern {
	p := pattern{expr: durationExpr, format: "relayd-time", min: int64(f.min)}
	if f.min > 0 {
		p.also = "[1-9]"
	}
	return p
}

// OrOff returns the time as configurations in Go have it: negative is off.
func (d Duration) OrOff() time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// A Count is a number of things. 0 is off, where that may be.
type Count int

func (c *Count) set(text string, f *field) error {
	n, err := strconv.Atoi(text)
	if text == off && f.min == 0 {
		n, text, err = 0, "0", nil
	}
	if err != nil || strconv.Itoa(n) != text || n < f.min || n > f.max {
		if f.min == 0 {
			return fmt.Errorf("%s is not a number from 0 to %d, or off", show(text), f.max)
		}
		return fmt.Errorf("%s is not a number from %d to %d", show(text), f.min, f.max)
	}
	*c = Count(n)
	return nil
}

func (c *Count) String() string {
	if *c == 0 {
		return off
	}
	return strconv.Itoa(int(*c))
}

func (c *Count) takes() scalars { return texts | integers }
func (c *Count) pattern(f *field) pattern {
	p := pattern{expr: "^(off|0|" + upTo(f.max) + ")$", min: int64(f.min), max: int64(f.max)}
	if f.min > 0 {
		p.expr = "^(" + upTo(f.max) + ")$"
	}
	return p
}

// OrOff returns the number as configurations in Go have it: negative is off.
func (c Count) OrOff() int {
	if c == 0 {
		return -1
	}
	return int(c)
}

// An Auto is a number that relayd finds itself, if it is 0. Negative is off.
type Auto int

func (a *Auto) set(text string, f *field) error {
	n, err := strconv.Atoi(text)
	switch {
	case text == "auto":
		n = 0
	case text == off && f.words == nil:
		n = -1
	case f.words != nil && err != nil:
		return fmt.Errorf("%s is not auto, or a number from 1 to %d", show(text), f.max)
	case err != nil || strconv.Itoa(n) != text || n < 1 || n > f.max:
		return fmt.Errorf("%s is not auto, off, or a number from 1 to %d", show(text), f.max)
	}
	*a = Auto(n)
	return nil
}

func (a *Auto) String() string {
	switch {
	case *a == 0:
		return "auto"
	case *a < 0:
		return off
	}
	return strconv.Itoa(int(*a))
}

func (a *Auto) takes() scalars { return texts | integers }
func (a *Auto) pattern(f *field) pattern {
	words := "auto|off"
	if f.words != nil { // off is not one of them
		words = "auto"
	}
	return pattern{expr: "^(" + words + "|" + upTo(f.max) + ")$", min: 1, max: int64(f.max)}
}

// upTo returns an expression for the numbers from 1 to n.
func upTo(n int) string {
	digits := strconv.Itoa(n)
	all := []string{digits}
	if len(digits) > 1 {
		all = append(all, fmt.Sprintf("[1-9][0-9]{0,%d}", len(digits)-2))
	}
	for i := range digits {
		low := byte('0')
		if i == 0 {
			low = '1'
		}
		if digits[i] > low {
			all = append(all, fmt.Sprintf("%s[%c-%c][0-9]{%d}", digits[:i], low, digits[i]-1, len(digits)-i-1))
		}
	}
	return strings.Join(all, "|")
}

// A Rate is a number of times a second. 0 is off.
type Rate float64

func (r *Rate) set(text string, _ *field) error {
	n, err := strconv.ParseFloat(text, 64)
	if text == off {
		n, err = 0, nil
	}
	if err != nil || !(n >= 0 && n <= maxCount) || !rateShape.MatchString(text) {
		return fmt.Errorf("%s is not a number a second, such as 100 or 0.5, or off", show(text))
	}
	*r = Rate(n)
	return nil
}

const rateExpr = `^(off|[0-9]+(\.[0-9]+)?)$`

var rateShape = regexp.MustCompile(rateExpr)

func (r *Rate) String() string {
	if *r == 0 {
		return off
	}
	return strconv.FormatFloat(float64(*r), 'f', -1, 64)
}

func (r *Rate) takes() scalars { return texts | numbers }
func (r *Rate) pattern(*field) pattern {
	return pattern{expr: rateExpr, max: maxCount}
}

// OrOff returns the rate as configurations in Go have it: negative is off.
func (r Rate) OrOff() float64 {
	if r == 0 {
		return -1
	}
	return float64(r)
}

// A Percent is a part of a hundred.
type Percent int

func (p *Percent) set(text string, _ *field) error {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || !percentShape.MatchString(text) {
		return fmt.Errorf("%s is not a part of a hundred, such as 50%%", show(text))
	}
	*p = Percent(n)
	return nil
}

func (p *Percent) String() string { return strconv.Itoa(int(*p)) + "%" }
func (p *Percent) takes() scalars { return texts }
func (p *Percent) pattern(*field) pattern {
	return pattern{expr: percentExpr}
}

const percentExpr = `^(100|[1-9][0-9]?)%$`

var percentShape = regexp.MustCompile(percentExpr)

// A Size is a number of bytes a second. 0 is off.
type Size int64

const (
	maxSize   = 1 << 40 // as the stage limit has it
	sizeUnits = "KMGT"
	sizeExpr  = `^(off|[0-9]{1,12}([kKmMgGtT]([iI][bB])?)?(/s)?)$`
)

var sizeShape = regexp.MustCompile(sizeExpr)

func (s *Size) set(text string, _ *field) error {
	if text == off {
		*s = 0
		return nil
	}
	bad := fmt.Errorf("%s is not bytes a second, such as 65536, 64KiB/s or 10M, or off", show(text))
	if !sizeShape.MatchString(text) {
		return bad
	}
	digits := strings.TrimRight(strings.ToUpper(strings.TrimSuffix(text, "/s")), "IB")
	shift := 0
	if i := strings.IndexByte(sizeUnits, digits[len(digits)-1]); i >= 0 {
		digits, shift = digits[:len(digits)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > maxSize>>shift {
		return bad
	}
	*s = Size(n << shift)
	return nil
}

func (s *Size) String() string {
	if *s == 0 {
		return off
	}
	for i := len(sizeUnits); i > 0; i-- {
		if shift := 10 * i; *s%(1<<shift) == 0 {
			return strconv.FormatInt(int64(*s>>shift), 10) + sizeUnits[i-1:i] + "iB/s"
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *Size) takes() scalars { return texts | integers }
func (s *Size) pattern(*field) pattern {
	return pattern{expr: sizeExpr, max: maxSize}
}

// A Bool is true or false.
type Bool bool

func (b *Bool) set(text string, _ *field) error {
	if text != "true" && text != "false" {
		return fmt.Errorf("%s is not true or false", show(text))
	}
	*b = text == "true"
	return nil
}

func (b *Bool) String() string         { return strconv.FormatBool(bool(*b)) }
func (b *Bool) takes() scalars         { return texts | booleans }
func (b *Bool) pattern(*field) pattern { return pattern{words: []string{"true", "false"}} }

// A Level is that of the log.
type Level slog.Level

const levelExpr = `^(debug|info|warn|error)([+-][0-9]{1,4})?$`

var levelShape = regexp.MustCompile(levelExpr)

func (l *Level) set(text string, _ *field) error {
	var parsed slog.Level
	if !levelShape.MatchString(text) || parsed.UnmarshalText([]byte(text)) != nil {
		return fmt.Errorf("%s is not a level: write debug, info, warn or error%s", show(text), suggest(text, []string{"debug", "info", "warn", "error"}))
	}
	*l = Level(parsed)
	return nil
}

func (l *Level) String() string         { return strings.ToLower(slog.Level(*l).String()) }
func (l *Level) takes() scalars         { return texts }
func (l *Level) pattern(*field) pattern { return pattern{expr: levelExpr} }

// A Word is one of a few.
type Word string

func (w *Word) set(text string, f *field) error {
	for _, known := range f.words {
		if text == known {
			*w = Word(text)
			return nil
		}
	}
	return fmt.Errorf("%s is not one of %s%s", show(text), strings.Join(f.words, ", "), suggest(text, f.words))
}

func (w *Word) String() string           { return string(*w) }
func (w *Word) takes() scalars           { return texts }
func (w *Word) pattern(f *field) pattern { return pattern{words: f.words} }

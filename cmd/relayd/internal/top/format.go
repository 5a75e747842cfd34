package top

import (
	"fmt"
	"strconv"
	"time"
)

// size formats bytes in five columns at most.
func size(n float64) string {
	const units = "KMGTPE"
	if n < 999.5 {
		return strconv.Itoa(int(n + 0.5))
	}
	i := -1
	for n >= 999.5 && i < len(units)-1 {
		n /= 1024
		i++
	}
	if n < 9.95 {
		return fmt.Sprintf("%.1f%c", n, units[i])
	}
	return fmt.Sprintf("%.0f%c", n, units[i])
}

// span formats a time in five columns at most, for some years.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < 100*time.Second:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < 100*time.Minute:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 100*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

// fit cuts text to a width, and says that it did.
func fit(s string, width int) string {
	switch {
	case width <= 0:
		return ""
	case len(s) <= width:
		return s
	case width < 4:
		return s[:width]
	}
	return s[:width-2] + ".."
}

// Package packaging is how relayd gets onto a machine: the script build makes a
// deb, an rpm and a container image of it, with the units and the settings that
// are here. It has tests only, which build all three and run what is in them.
package packaging

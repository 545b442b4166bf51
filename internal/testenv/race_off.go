//go:build !race

package testenv

// Race tells whether the race detector is on.
const Race = false

// Slowness is how many times as much memory and time a program takes with the race
// detector; its manual says up to 10 and 20.
const Slowness = 1

//go:build !race

package redis

// slack is how many times as much memory the race detector takes.
const slack = 1

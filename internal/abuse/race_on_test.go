//go:build race

package abuse

const raceEnabled = true

// slowness is how many times as much memory and time the race detector takes; its manual
// says up to 10 and 20.
const slowness = 10

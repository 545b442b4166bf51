//go:build !race

package abuse

const raceEnabled = false

// slowness is that of the race detector.
const slowness = 1

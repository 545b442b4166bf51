package handover

const (
	// Version is the version of the records that this binary writes, if the other one knows
	// it. It becomes another one when a record changes in a way that its size and its extras
	// cannot express. testdata has a directory of frames for each version.
	Version = 1
	// Oldest is the version before, or 1.
	Oldest = 1
)

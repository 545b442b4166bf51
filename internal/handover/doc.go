// Package handover has the language of an upgrade: the frames in which the predecessor tells
// the successor all that it knows, and hands it its descriptors.
//
// A [Conn] carries frames over a Unix stream socket. A frame has a [Kind], a payload of at
// most [MaxPayload] bytes, up to [MaxFDs] descriptors and a checksum. A payload is a [Record],
// appended to a [Writer] and parsed from a [Reader]. The package knows neither the server nor
// the broker: it has the records of both as plain values.
//
// # Versions
//
// The first frame each way is a [Hello], whose form never changes. The two agree on the
// highest [Version] that both know, and each writes and reads that one from then on. A binary
// knows its own version and the one before, so that a downgrade is an upgrade. What a version
// means is fixed by the frames in testdata.
//
// Most changes need no new version. A record whose size is told beside it grows at its end: a
// reader that knows less skips the rest, and one that knows more finds zeros. What only some
// streams have is an extra with a tag. A reader refuses tags that it does not know below
// [Optional], and ignores those from there on.
//
// # Trust
//
// Both ends run as the same user, over a socketpair that nobody else has. A frame is checked
// all the same, since a fault of either side must not end a million streams: a damaged frame
// is an error, and the receiver gives up before it has served anything.
//
// # Files
//
// conn (frames over a socket; Linux), frame (their form), kind, codec (writers and readers),
// version, hello, steps (short records of the control connection), cookie (which socket a
// descriptor means), long (records of several frames); and the records of each part.
package handover

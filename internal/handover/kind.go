package handover

import "fmt"

// Kind tells what a frame is. Its number is the same in all versions.
type Kind uint8

// The steps of an upgrade, over the control connection.
const (
	KindHello    Kind = 1  // both: Hello
	KindRefuse   Kind = 2  // both: Refusal
	KindClock    Kind = 3  // predecessor: how loop time and the system's clock go together
	KindListener Kind = 4  // predecessor: a listener of a port
	KindLoaded   Kind = 5  // successor: everything is here; a connection for each loop comes with it
	KindSwitch   Kind = 6  // predecessor: publishers are the successor's from this sequence on
	KindSwitched Kind = 7  // successor: all is there, and it serves from here on: no way back
	KindDone     Kind = 8  // successor: it has taken over
	KindBye      Kind = 9  // predecessor: it exits, and what was asked of it meanwhile
	KindAbort    Kind = 10 // predecessor: it takes back, the successor is to end
	KindBeat     Kind = 11 // both: a sign of life
	KindSettle   Kind = 12 // predecessor: the successor is to wait for its engine
)

// The broker, and what stands beside it and the loops, over the control connection.
const (
	KindRelay   Kind = 16 // predecessor: the history a piece at a time, and messages and gaps as they are placed
	KindBeside  Kind = 17 // predecessor: what belongs to no loop and no channel
	KindControl Kind = 18 // both: a kick, or a ticket that was opened
	KindEngine  Kind = 19 // both: the place in what the engine delivers
)

// A loop, over its own connection.
const (
	KindLoop        Kind = 48 // predecessor: head of the loop
	KindConnections Kind = 49 // predecessor: connections, and their descriptors
	KindKeys        Kind = 50 // predecessor: key material of connections with TLS
	KindShared      Kind = 51 // predecessor: streams of HTTP/2
	KindLoopEnd     Kind = 52 // predecessor: all have been sent: count and checksum
	KindPrepared    Kind = 53 // successor: all have come: count and checksum
	KindCommit      Kind = 54 // predecessor: the connections are the successor's
	KindServing     Kind = 55 // successor: it serves them

	KindLoopChannels Kind = 56 // predecessor: names of the loop's channels
	KindPart         Kind = 57 // predecessor: a part of a record that is too long for a frame
)

// The ports, over the control connection.
const (
	KindAdmin     Kind = 80 // predecessor: connections of the admin port
	KindAdminRest Kind = 81 // predecessor: what subscribers at the admin port have not taken
	KindOps       Kind = 82 // predecessor: what the ops port has
)

var kindNames = map[Kind]string{
	KindHello: "hello", KindRefuse: "refuse", KindClock: "clock", KindListener: "listener", KindLoaded: "loaded",
	KindBeat: "beat", KindSettle: "settle",
	KindSwitch: "switch", KindSwitched: "switched", KindDone: "done", KindBye: "bye", KindAbort: "abort",
	KindRelay: "relay", KindBeside: "beside", KindControl: "control", KindEngine: "engine",
	KindLoop: "loop", KindConnections: "connections", KindKeys: "keys", KindShared: "shared",
	KindLoopChannels: "loop channels", KindPart: "part",
	KindLoopEnd: "loop end", KindPrepared: "prepared", KindCommit: "commit", KindServing: "serving",
	KindAdmin: "admin", KindAdminRest: "admin rest", KindOps: "ops",
}

func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

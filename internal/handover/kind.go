package handover

import "fmt"

// Kind tells what a frame is. Its number is the same in all versions.
type Kind uint8

// The steps of an upgrade, and what both processes say of themselves.
const (
	KindHello    Kind = 1 // both: Hello
	KindRefuse   Kind = 2 // both: Refusal
	KindBeside   Kind = 3 // predecessor: what belongs to no loop and no channel
	KindLoaded   Kind = 4 // successor: everything is here; a connection for each loop comes with it
	KindListener Kind = 5 // predecessor: a listener of a port
	KindSwitch   Kind = 6 // predecessor: publishers are the successor's from this sequence on
	KindDone     Kind = 7 // successor: it has taken over
	KindAbort    Kind = 8 // predecessor: it takes back, the successor is to end
)

// The broker.
const (
	KindBroker    Kind = 16 // predecessor: epoch, sequences, counts
	KindChannels  Kind = 17 // predecessor: channels
	KindMessages  Kind = 18 // predecessor: the history, a piece at a time
	KindForgotten Kind = 19 // predecessor: channels that are closed, and what they had
	KindCaughtUp  Kind = 20 // predecessor: the history is complete, relays follow
	KindRelay     Kind = 21 // predecessor: messages and gaps as they are placed
	KindCredit    Kind = 22 // successor: relays that it has taken
)

// A loop, over its own connection.
const (
	KindLoop        Kind = 48 // predecessor: head of the loop
	KindConnections Kind = 49 // predecessor: connections, and their descriptors
	KindLoopEnd     Kind = 50 // predecessor: all have been sent: count and checksum
	KindPrepared    Kind = 51 // successor: all have come: count and checksum
	KindCommit      Kind = 52 // predecessor: the connections are the successor's
	KindServing     Kind = 53 // successor: it serves them
)

// The ports.
const (
	KindAdmin Kind = 80 // predecessor: connections of the admin port
)

var kindNames = map[Kind]string{
	KindHello: "hello", KindRefuse: "refuse", KindBeside: "beside", KindLoaded: "loaded", KindListener: "listener",
	KindSwitch: "switch", KindDone: "done", KindAbort: "abort",
	KindBroker: "broker", KindChannels: "channels", KindMessages: "messages", KindForgotten: "forgotten",
	KindCaughtUp: "caught up", KindRelay: "relay", KindCredit: "credit",
	KindLoop: "loop", KindConnections: "connections", KindLoopEnd: "loop end", KindPrepared: "prepared",
	KindCommit: "commit", KindServing: "serving",
	KindAdmin: "admin",
}

func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

package handover

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write stored frames that are missing; those that are there never change")

// recordType is a record that travels, with an example in which nothing is zero.
type recordType struct {
	name    string // of its file in testdata
	kind    Kind
	example Record
}

// recordTypes are all of them. Each is fuzzed, and has a stored frame for every version.
var recordTypes = []recordType{
	// hello.go
	{"hello", KindHello, &exampleHello},
	{"refusal", KindRefuse, &Refusal{[]string{"history: 10 in the running process, 0 in the new one", "it drains"}}},

	// steps.go
	{"clock", KindClock, &Clock{Monotonic: 1<<40 + 1, Loop: 1<<33 + 2, Loops: 60}},
	{"listener", KindListener, &Listener{PortOps}},
	{"bye", KindBye, &Bye{Stop: true, Reload: true, Upgrades: Upgrades{1, 2, 3, 4, Upgrade{5, 6, 7, 8, 9, 10}}}},

	// broker.go
	{"broker", KindRelay, &BrokerHead{Version, "K3XQ5WPA2Z", 9001, 8192, 8193, [2]uint64{1, 2}, true, true}},
	{"forgotten", KindRelay, &ForgottenPage{7, []byte{1, 2, 3}}},
	{"channel", KindRelay, &ChannelState{[]byte("/rooms/1"), 5, 6, 70, 4, ChannelFollowed | ChannelCleared}},
	{"kept", KindRelay, &KeptMessage{8, 9_000_000_000, []byte("id: e-8\ndata: x\n\n")}},
	{"message", KindRelay, &PlacedMessage{10, []byte("/rooms/1"), []byte("data: y\n\n")}},
	{"place", KindRelay, &Place{11, 12}},
	{"gap", KindRelay, &PlacedGap{Place{13, 12}, []byte("/rooms/1"), 4}},
	{"closed", KindRelay, &Forgotten{14, []byte("/rooms/2")}},
	{"switch", KindSwitch, &Switch{Place{15, 12}, 16}},

	// loop.go
	{"loophead", KindLoop, &LoopHead{Loop: 3, K: 1<<40 + 5, Head: 1<<40 + 9, Keepalive: 15e9, Plain: 1, Channels: 2, Connections: 4, Reasons: []string{"", "answered"}}},
	{"loopchannel", KindLoopChannels, &LoopChannel{Name: []byte("/news"), Subscribers: 7}},
	{"loopend", KindLoopEnd, &LoopEnd{Connections: 4, Sum: 0xdeadbeef}},

	// connection.go, behind.go
	{"connection", KindConnections, &exampleConnection},

	// secured.go, http2.go
	{"secured", KindConnections, &Secured{"example.org", []byte("\x17\x03\x03\x00"), &Sealed{[]byte("rest"), 100, 2, 1e9}}},
	{"keys", KindKeys, &Keys{3, []byte("state")}},
	{"http2", KindConnections, &HTTP2{[]byte("state"), []byte("\x00\x00"), 100, 3, true}},
	{"sharedstream", KindShared, &SharedStream{3, true, []byte("state"), exampleConnection.Stream}},

	// admin.go
	{"admin", KindAdmin, &exampleAdmin},
	{"adminrest", KindAdminRest, &AdminRest{ID: 9, Waiting: exampleAdmin.Connections[0].Waiting}},

	// ops.go
	{"ops", KindOps, &Ops{[]OpsConnection{{1 << 40, []byte("GET /metr")}, {7, []byte{}}}}},

	// beside.go, engine.go
	{"beside", KindBeside, &exampleBeside},
	{"engine", KindEngine, &exampleEngine},
}

// exampleConnection has all that a connection can have, though none has it all.
var exampleConnection = Connection{
	Stream: Stream{
		Use: UseStream, Why: 2, Flags: Named | OnSeveral | Granted | Halfway, Channel: -1, Cursor: 1<<40 + 1,
		Opened: 100, Wrote: 200, Until: 300, User: "ann", Several: []int32{0, 1},
		Behind: &Behind{
			Rest: []byte("ta: x\n\n"), Messages: 1, Fell: 1e9, Gaps: 7, Floors: []uint64{5, 6},
			Window: 1, Last: 2, Judged: 3, Taken: 4, Total: 5, Owed: true, Asked: true, Leaves: 3, Retry: 1e9, By: 2e9,
		},
		Waiter: &Waiter{LastID: []byte("x-1"), Origin: []byte("https://example.org"), Renewal: "r", Coding: 1, Greeted: true, Due: 1e9},
		Undecided: &Undecided{
			Channels: []string{"/a", "/b"}, Signed: []string{"s"}, Aliased: true, IsSecure: true, OriginAllowed: true,
			Method: "GET", Path: "/a", Query: "channel=/b", Host: "example.org", Authorization: "Bearer x", Cookie: "a=b",
			Origin: "https://example.org", UserAgent: "test", FetchSite: "same-origin", Client: []byte{127, 0, 0, 1},
			To: []byte("https://example.org"), OnlyHead: true, PrefersGzip: true, Coding: 2, LastID: []byte("x-2"), Deadline: 1e9,
		},
	},
	Cookie: 1<<33 + 1, Network: 0xffff7f000001, Timer: 1e10, NextPing: 400, Heard: 5, Lot: 6,
	Head: []byte("GET / HT"), Peer: []byte("0123456789abcdef\x01\x02"), Extras: []Extra{{FirstProtocol, []byte("keys")}, {LastProtocol | Optional, []byte("more")}},
}

// empty returns a zero record of the type.
func (t recordType) empty() Record {
	return reflect.New(reflect.TypeOf(t.example).Elem()).Interface().(Record)
}

// frame returns the bytes of a frame with the example.
func (t recordType) frame(version int) []byte {
	payload := Encode(version, t.example)
	h := headerOf(t.kind, payload, 0)
	return append(h[:], payload...)
}

// parseFrame takes a frame apart.
func parseFrame(frame []byte) (Kind, []byte, error) {
	if len(frame) < headerSize {
		return 0, nil, ErrShort
	}
	h := header(frame[:headerSize])
	if err := h.check(); err != nil {
		return 0, nil, err
	}
	return h.kind(), frame[headerSize:], h.checkPayload(frame[headerSize:])
}

func (t recordType) file(version int) string {
	return filepath.Join("testdata", fmt.Sprintf("v%d", version), t.name+".frame")
}

// Ensure that frames of every version that this binary knows are read and written as they
// were when the version was new.
func TestStoredFrames(t *testing.T) {
	for version := Oldest; version <= Version; version++ {
		for _, rt := range recordTypes {
			path := rt.file(version)
			if _, err := os.Stat(path); err != nil && *update && version == Version {
				if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, rt.frame(version), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("%v: go test ./internal/handover -run %s -update writes it", err, t.Name())
				continue
			}
			kind, payload, err := parseFrame(want)
			if err != nil || kind != rt.kind {
				t.Errorf("%s: %s, %v; want %s", path, kind, err, rt.kind)
				continue
			}
			record := rt.empty()
			if err := Decode(version, payload, record); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if got := Encode(version, record); !bytes.Equal(got, payload) {
				t.Errorf("%s is written otherwise in version %d:\n got %x\nwant %x", path, version, got, payload)
			}
			if version == Version && !reflect.DeepEqual(record, rt.example) {
				t.Errorf("%s:\n got %+v\nwant %+v", path, record, rt.example)
			}
		}
	}
}

// Ensure that no file in testdata lacks its record, as after a change of its name.
func TestStoredFramesAreUsed(t *testing.T) {
	paths, err := filepath.Glob("testdata/v*/*")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for version := Oldest; version <= Version; version++ {
		for _, rt := range recordTypes {
			known[rt.file(version)] = true
		}
	}
	for _, path := range paths {
		if !known[path] {
			t.Errorf("%s is a frame that nothing reads", path)
		}
	}
}

// Ensure that examples leave no field at zero: it would not be seen if it did not travel.
func TestExamplesAreFull(t *testing.T) {
	for _, rt := range recordTypes {
		v := reflect.ValueOf(rt.example).Elem()
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("the example of %s has no %s", rt.name, v.Type().Field(i).Name)
			}
		}
	}
}

// Ensure that a record cut at any byte is refused, or is a shorter one: of those that are
// lists.
func TestCutRecords(t *testing.T) {
	for _, rt := range recordTypes {
		payload := Encode(Version, rt.example)
		for n := range payload {
			record := rt.empty()
			if err := Decode(Version, payload[:n], record); err == nil && reflect.DeepEqual(record, rt.example) {
				t.Errorf("%s: %d of %d bytes are as good as all", rt.name, n, len(payload))
			}
		}
	}
}

// Ensure that any bytes are refused, or are a record that stays the same when it travels on.
func FuzzRecords(f *testing.F) {
	for i, rt := range recordTypes {
		f.Add(uint8(i), Encode(Version, rt.example))
	}
	f.Fuzz(func(t *testing.T, i uint8, payload []byte) {
		rt := recordTypes[int(i)%len(recordTypes)]
		first := rt.empty()
		if Decode(Version, payload, first) != nil {
			return
		}
		written := Encode(Version, first)
		second := rt.empty()
		if err := Decode(Version, written, second); err != nil {
			t.Fatalf("%s: read from %x, written as %x: %v", rt.name, payload, written, err)
		}
		if again := Encode(Version, second); !bytes.Equal(again, written) {
			t.Fatalf("%s: written as\n%x, then as\n%x", rt.name, written, again)
		}
	})
}

// Ensure that every kind has a name.
func TestKinds(t *testing.T) {
	for _, rt := range recordTypes {
		if name := rt.kind.String(); strings.HasPrefix(name, "kind ") {
			t.Errorf("%s has kind %d, which has no name", rt.name, uint8(rt.kind))
		}
	}
	if got, want := Kind(255).String(), "kind 255"; got != want {
		t.Errorf("an unknown kind is %q, want %q", got, want)
	}
}

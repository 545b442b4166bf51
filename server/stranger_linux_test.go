package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/internal/gzipwire"
	"millrace/internal/handover"
)

// stranger is a process that takes event loops over as a successor does, and then writes to
// their streams as much as it is told of what a successor would. It has none of the server's
// code for that.
type stranger struct {
	t      *testing.T
	cmd    *exec.Cmd
	orders *handover.Conn
	ends   []int // of the loops
}

// strangerEnv has the number of loops in the stranger's environment.
const strangerEnv = "MILLRACE_TEST_STRANGER"

// What the stranger is told: a message, and to write, see writeAll.
const (
	kindMessage handover.Kind = 200
	kindWrite   handover.Kind = 201
)

// meet starts a stranger for a server.
func meet(t *testing.T, s *Server) *stranger {
	t.Helper()
	x := &stranger{t: t, cmd: exec.Command(os.Args[0], "-test.run=^TestStranger$")}
	x.cmd.Env = append(os.Environ(), fmt.Sprint(strangerEnv, "=", s.Loops()))
	x.cmd.Stderr = os.Stderr
	for i := range s.Loops() + 1 {
		here, there, err := handover.Pair()
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(there), "")
		defer file.Close()
		x.cmd.ExtraFiles = append(x.cmd.ExtraFiles, file)
		if i < s.Loops() {
			x.ends = append(x.ends, here)
		} else {
			x.orders = handover.NewConn(here)
		}
	}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return x
}

// end kills the stranger, and waits for its end.
func (x *stranger) end() {
	x.cmd.Process.Kill()
	x.cmd.Wait()
	x.orders.Close()
}

// TestStranger is the stranger itself.
func TestStranger(t *testing.T) {
	loops := 0
	if fmt.Sscan(os.Getenv(strangerEnv), &loops); loops == 0 {
		t.Skip("it is a process of TestTakeBack")
	}
	var streams []strangeStream
	committed := make(chan []strangeStream)
	for i := range loops {
		go func() { committed <- adoptStrangely(t, handover.NewConn(3+i)) }()
	}
	orders := handover.NewConn(3 + loops)
	orders.SetTimeout(0)
	for range loops {
		streams = append(streams, <-committed...)
	}
	var all []strangeMessage
	for {
		frame, err := orders.Receive()
		if err != nil {
			os.Exit(1)
		}
		r := handover.NewReader(handover.Version, frame.Payload)
		if frame.Kind == kindMessage {
			all = append(all, strangeMessage{r.U64(), r.String(), r.String()})
			continue
		}
		writeAll(streams, all, r.U64(), r.Bool())
		orders.Send(handover.KindDone, nil)
		select {} // until it is killed
	}
}

// strangeStream is a stream as the stranger has it.
type strangeStream struct {
	fd       int
	record   handover.Connection
	channels []string
}

// adoptStrangely takes a loop over.
func adoptStrangely(t *testing.T, c *handover.Conn) (streams []strangeStream) {
	c.SetTimeout(0)
	var names []string
	var long handover.Unpacker
	for {
		frame, err := c.Receive()
		if err != nil {
			os.Exit(1)
		}
		r := handover.NewReader(handover.Version, frame.Payload)
		switch frame.Kind {
		case handover.KindLoopChannels:
			for r.Len() > 0 {
				var channel handover.LoopChannel
				channel.Parse(r)
				names = append(names, string(channel.Name))
			}
		case handover.KindPart:
			long.Part(frame.Payload)
		case handover.KindConnections:
			records, _ := long.Records(bytes.Clone(frame.Payload)) // which refer to it
			r = handover.NewReader(handover.Version, records)
			for _, fd := range frame.FDs {
				s := strangeStream{fd: fd}
				s.record.Parse(r)
				for _, i := range s.record.Several {
					s.channels = append(s.channels, names[i])
				}
				if s.record.Several == nil && s.record.Use == handover.UseStream {
					s.channels = []string{names[s.record.Channel]}
				}
				streams = append(streams, s)
			}
		case handover.KindLoopEnd:
			c.Send(handover.KindPrepared, bytes.Clone(frame.Payload))
		case handover.KindCommit:
			c.Send(handover.KindServing, nil)
			return streams
		}
	}
}

// strangeMessage is a message of which the stranger is told.
type strangeMessage struct {
	seq     uint64
	channel string
	wire    string
}

// writeAll writes to each stream a part of what it lacks.
func writeAll(streams []strangeStream, all []strangeMessage, seed uint64, junk bool) {
	random := rand.New(rand.NewPCG(seed, 0))
	for _, s := range streams {
		switch s.record.Use {
		case handover.UseHead:
			if random.IntN(2) == 0 {
				unix.Read(s.fd, make([]byte, 100))
			}
			continue
		case handover.UseStream:
		default:
			continue
		}
		var lacks []byte
		if s.record.Behind != nil {
			lacks = append(lacks, s.record.Behind.Rest...)
		}
		for _, m := range all {
			for _, channel := range s.channels {
				switch {
				case m.channel != channel || m.seq <= s.record.Cursor:
				case s.record.Flags.Is(handover.Gzip):
					lacks = gzipwire.AppendStored(lacks, []byte(m.wire), 0)
				default:
					lacks = append(lacks, m.wire...)
				}
			}
		}
		if junk {
			lacks = append(lacks, "junk"...)
		} else if random.IntN(4) > 0 {
			lacks = lacks[:random.IntN(len(lacks)+1)]
		}
		for len(lacks) > 0 {
			n, err := unix.Write(s.fd, lacks[:1+random.IntN(len(lacks))])
			if err != nil {
				break
			}
			lacks = lacks[n:]
		}
	}
}

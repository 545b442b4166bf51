package h2

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// checkCuts feeds in in pieces, and wants a server to be told the same as of the whole: so does
// one that goes on in another process with each piece.
func checkCuts(t reporter, in []byte, answers bool, lengths ...int) {
	t.Helper()
	whole, pieces, travels := newServer(), newServer(), newServer()
	whole.answers, pieces.answers, travels.answers, travels.travels = answers, answers, answers, true
	whole.feed(t, slices.Clone(in))
	for from, i := 0, 0; from < len(in); i++ {
		length := 1
		if len(lengths) > 0 {
			length = lengths[i%len(lengths)]
		}
		end := min(from+max(1, length), len(in))
		pieces.feed(t, slices.Clone(in[from:end]))
		travels.feed(t, slices.Clone(in[from:end]))
		from = end
	}
	if !slices.Equal(pieces.told, travels.told) || pieces.conn != travels.conn {
		t.Errorf("in pieces of %v a server that travels is told\n%s\nand one that stays\n%s", lengths, strings.Join(travels.told, "\n"), strings.Join(pieces.told, "\n"))
	}
	if !slices.Equal(whole.told, pieces.told) {
		t.Errorf("in pieces of %v the server is told\n%s\nand of the whole\n%s", lengths, strings.Join(pieces.told, "\n"), strings.Join(whole.told, "\n"))
	}
	if whole.conn != pieces.conn {
		t.Errorf("in pieces of %v the connection is %+v, and as a whole %+v", lengths, pieces.conn, whole.conn)
	}
}

// Ensure that conversations and faults are the same in any pieces.
func TestCuts(t *testing.T) {
	var inputs [][]byte
	for _, conversation := range conversations {
		c := newClient()
		conversation.send(c)
		inputs = append(inputs, c.Bytes())
	}
	for _, f := range faults {
		c := newClient()
		f.send(c)
		inputs = append(inputs, c.Bytes())
	}
	for _, in := range inputs {
		for _, lengths := range [][]int{{7}, {9}, {24, 9, 1}, {5000, 1}} {
			checkCuts(t, in, len(in)%2 == 0, lengths...)
		}
		if len(in) < 2000 {
			checkCuts(t, in, false)
		}
	}
}

// Ensure that whatever a client sends, a server is told the same in any pieces.
func TestCutsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClient()
		id := rapid.Uint32Range(0, 9)
		for range rapid.IntRange(0, 20).Draw(t, "frames") {
			sendAnything(t, c, id.Draw(t, "stream"))
		}
		lengths := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 5).Draw(t, "lengths")
		checkCuts(t, c.Bytes(), rapid.Bool().Draw(t, "answers"), lengths...)
	})
}

// sendAnything has a client send a frame that may be right, or wrong here.
func sendAnything(t *rapid.T, c *client, id uint32) {
	n := rapid.Uint32Range(0, 100).Draw(t, "n")
	end := rapid.Bool().Draw(t, "end")
	switch rapid.IntRange(0, 9).Draw(t, "frame") {
	case 0:
		c.get(id|1, fmt.Sprintf("/%d", n), "x: y")
	case 1:
		c.send(id|1, getFields("/", fmt.Sprintf("content-length: %d", n%8))...)
	case 2:
		block := c.encode(getFields("/a", "x: y")...)
		cut := int(n) % len(block)
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: id | 1, EndStream: end, BlockFragment: block[:cut], PadLength: uint8(n)})
		c.WriteContinuation(id|1, true, block[cut:])
	case 3:
		c.WriteDataPadded(id, end, make([]byte, n%8), make([]byte, n%3))
	case 4:
		c.WriteRSTStream(id, http2.ErrCode(n))
	case 5:
		c.WriteWindowUpdate(id, n)
	case 6:
		c.WriteSettings(http2.Setting{ID: http2.SettingID(n % 10), Val: n})
	case 7:
		c.obey()
	case 8:
		c.WritePing(end, [8]byte{byte(n)})
	case 9:
		c.WriteRawFrame(http2.FrameType(n%16), http2.Flags(n), id, make([]byte, n%20))
	}
}

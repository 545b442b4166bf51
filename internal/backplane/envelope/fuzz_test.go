package envelope

import (
	"bytes"
	"testing"
)

// Ensure that any payload is an event or an error, and that an event comes out of its
// envelope as it went in.
func FuzzParse(f *testing.F) {
	for _, payload := range []string{"", "x", mark, mark + "\n", mark + "{}\nx", mark + `{"retry":9223372036854775807}` + "\n", mark + `{"event":"a","retry":5}` + "\n\n", mark + "null\n"} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		ev, err := Parse(payload)
		if err != nil {
			return
		}
		again, err := Parse(Append(nil, ev))
		if err != nil || !bytes.Equal(again.Data, ev.Data) || again.Type != ev.Type || again.Retry != ev.Retry {
			t.Errorf("%q is %+v, which comes back as %+v, %v", payload, ev, again, err)
		}
	})
}

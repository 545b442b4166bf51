package nats

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stored is a message of a stream, as far as reader.take looks at it.
type stored struct {
	jetstream.Msg
	subject string
	data    []byte
	header  nats.Header
}

func (m stored) Subject() string      { return m.subject }
func (m stored) Data() []byte         { return m.data }
func (m stored) Headers() nats.Header { return m.header }

// Ensure that a log says exactly up to where something may be missing in it.
func TestLog(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	good := func(sequences ...uint64) (messages map[uint64]stored) {
		messages = make(map[uint64]stored)
		for _, sequence := range sequences {
			messages[sequence] = stored{data: fmt.Appendf(nil, "%d", sequence)}
		}
		return messages
	}
	bad := func(messages map[uint64]stored, sequence uint64) map[uint64]stored {
		messages[sequence] = stored{header: nats.Header{retryHeader: {"soon"}}}
		return messages
	}
	big := good(11, 12, 13)
	for _, sequence := range []uint64{11, 12, 13} {
		big[sequence] = stored{data: []byte(strings.Repeat("x", maxLog/2))}
	}
	for _, tt := range []struct {
		name     string
		messages map[uint64]stored // of /a, by sequence, each as many seconds old as that is below 100
		first    uint64            // sequence of the stream
		limit    int64             // of messages
		ttl      time.Duration
		cut      string
		kept     []uint64 // sequences
		evicted  uint64   // number
	}{
		{name: "a stream of nothing", first: 1},
		{name: "a channel of nothing", first: 5, limit: 3, evicted: 8},
		{name: "everything", messages: good(3, 7), first: 1, limit: 3, kept: []uint64{3, 7}},
		{name: "no limit", messages: good(3, 7), first: 1, limit: -1, kept: []uint64{3, 7}},
		{name: "as many as allowed", messages: good(3, 7), first: 1, limit: 2, kept: []uint64{3, 7}, evicted: 5},
		{name: "a stream whose oldest are gone", messages: good(30, 40), first: 21, limit: 3, kept: []uint64{30, 40}, evicted: 40},
		{name: "both", messages: good(30, 40), first: 21, limit: 2, kept: []uint64{30, 40}, evicted: 59},
		{name: "one that comes live counts", messages: good(30, 51), first: 1, limit: 2, kept: []uint64{30}, evicted: 59},
		{name: "all come live", messages: good(51, 52), first: 1, limit: 2, evicted: 100},
		{name: "one that is no event", messages: bad(good(3, 7), 5), first: 1, limit: 9, kept: []uint64{7}, evicted: 10},
		{name: "only one that is no event, and as many as allowed", messages: bad(good(), 5), first: 1, limit: 1, evicted: 100},
		{name: "too old", messages: good(10, 39, 40, 45), first: 1, limit: 9, ttl: time.Minute, kept: []uint64{40, 45}, evicted: 78},
		{name: "all too old", messages: good(10, 39), first: 1, limit: 9, ttl: time.Minute, evicted: 78},
		{name: "too much", messages: big, first: 1, limit: 9, kept: []uint64{12, 13}, evicted: 22},
		{name: "less was kept once", messages: good(3, 7, 9), first: 1, limit: 9, cut: "8", kept: []uint64{3, 7, 9}, evicted: 16},
	} {
		r := &reader{until: number(50), index: map[string]int{"p.a": 0}, logs: make([]log, 1)}
		for sequence := range uint64(100) {
			if m, ok := tt.messages[sequence]; ok {
				m.subject = "p.a"
				r.take(m, number(sequence), now.Add(time.Duration(sequence)*time.Second))
			}
		}
		r.take(stored{subject: "p.=fence.x"}, number(50), now)
		got := r.logs[0].finish(&jetstream.StreamInfo{
			State:     jetstream.StreamState{FirstSeq: tt.first},
			Config:    jetstream.StreamConfig{MaxMsgsPerSubject: tt.limit, Metadata: map[string]string{cutKey: tt.cut}},
			TimeStamp: now.Add(100 * time.Second),
		}, tt.ttl, r.until)
		var kept []uint64
		for _, k := range got.Kept {
			kept = append(kept, k.Number/2)
			if want := time.Duration(100-k.Number/2) * time.Second; k.Age != want {
				t.Errorf("%s: the age of %d is %v, want %v", tt.name, k.Number/2, k.Age, want)
			}
		}
		if !slices.Equal(kept, tt.kept) || got.Evicted != tt.evicted {
			t.Errorf("%s: kept %d, evicted up to %d, want %d, %d", tt.name, kept, got.Evicted, tt.kept, tt.evicted)
		}
	}
}

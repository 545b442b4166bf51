package nats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"millrace/channels"
	"millrace/internal/backplane/link"
)

// history keeps the messages of all channels in one JetStream stream, which gives
// them one order. A channel's subject is the one of the plain form. The server publishes
// stored messages again, in their order, on other subjects, of which nodes subscribe to
// those that they need.
//
// Numbers are twice the sequences of the stream, since channels.Kept wants them even.
// The epoch is the time at which the stream was created. Its first sequence is that time
// in microseconds: so numbers go on growing when it takes the place of one that is gone. A
// stream that has lost its newest messages, when a computer lost its power say, is purged
// up to such a sequence.
//
// Beside channels there are two kinds of subjects. A fence, one for each node, marks
// the place of a snapshot among the messages published again. Marks, one a minute, are
// messages that no later one pushes out. So the first sequence of the stream tells
// how far back nothing has been lost by age.
type history struct {
	stream   string // its name
	prefix   string // of subjects that it stores, with the dot
	live     string // of subjects on which the server publishes them again
	fence    string // a subject without a prefix
	count    int    // messages of a channel
	ttl      time.Duration
	replicas int
}

const (
	// spare is how much longer than asked for messages are stored: a client whose last
	// event id is that old can be told that it has missed nothing.
	spare = time.Hour
	// readBatch is how many messages are asked for at once, and maxLog how many bytes
	// of a channel are held of those.
	readBatch, maxLog = 256, 4 << 20
	// markPeriod is the time between marks.
	markPeriod = time.Minute
)

func newHistory(token string, o Options, replicas int) *history {
	return &history{
		stream: token, prefix: token + ".", live: "=live." + token + ".", // which no token is, see subject.go
		fence: "=fence." + nats.NewInbox()[len(nats.InboxPrefix):],
		count: o.History, ttl: o.HistoryTTL, replicas: replicas,
	}
}

// config returns c with the fields set that a node needs; the rest is the operator's.
func (h *history) config(c jetstream.StreamConfig) jetstream.StreamConfig {
	c.Subjects = []string{h.prefix + ">"}
	c.RePublish = &jetstream.RePublish{Source: h.prefix + ">", Destination: h.live + ">"}
	c.MaxMsgsPerSubject = int64(h.count)
	c.MaxAge = 0
	if h.ttl > 0 {
		c.MaxAge = h.ttl + spare
	}
	c.AllowRollup = true // of fences
	return c
}

// open returns the stream, after it has created or changed it as a node needs it.
func (h *history) open(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, h.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, h.config(jetstream.StreamConfig{
			Name: h.stream, Description: "history of millrace", Storage: jetstream.FileStorage, Replicas: h.replicas,
			FirstSeq: firstSequence(),
		}))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was faster
			stream, err = js.Stream(ctx, h.stream)
		}
	}
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	want := h.config(info.Config)
	if reflect.DeepEqual(info.Config, want) {
		return stream, nil
	}
	if was := info.Config.MaxMsgsPerSubject; was > 0 && was < want.MaxMsgsPerSubject { // then fewer do not tell that they are all
		want.Metadata = maps.Clone(want.Metadata)
		if want.Metadata == nil {
			want.Metadata = make(map[string]string)
		}
		want.Metadata[cutKey] = strconv.FormatUint(info.State.LastSeq, 10)
	}
	return js.UpdateStream(ctx, want)
}

// cutKey names the sequence in the stream's metadata up to which less was kept of a
// channel than is now.
const cutKey = "millrace.cut"

// firstSequence is above the sequences of whatever stream was before.
func firstSequence() uint64 { return uint64(time.Now().UnixMicro()) }

func epochOf(i *jetstream.StreamInfo) string { return strconv.FormatInt(i.Created.UnixMicro(), 36) }

func number(sequence uint64) uint64 { return 2 * sequence }

// setFence publishes the fence and returns its number.
func (h *history) setFence(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	ack, err := js.PublishMsg(ctx, h.fenceMessage())
	if err != nil {
		return 0, err
	}
	return number(ack.Sequence), nil
}

// fenceMessage is a fence, which takes the place of the one before in the stream.
func (h *history) fenceMessage() *nats.Msg {
	return &nats.Msg{Subject: h.prefix + h.fence, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}}
}

// setMark publishes the mark of a time, unless it is there.
func (h *history) setMark(ctx context.Context, js jetstream.JetStream, now time.Time) error {
	var minute int64 // where nothing is lost by age, one mark does
	if h.ttl > 0 {
		minute = now.Unix() / int64(markPeriod/time.Second)
	}
	subject := h.prefix + "=mark." + strconv.FormatInt(minute, 10)
	_, err := js.Publish(ctx, subject, nil, jetstream.WithExpectLastSequencePerSubject(0))
	var there *jetstream.APIError
	if errors.As(err, &there) && (there.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		there.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return nil
	}
	return err
}

// snapshot is link.History's.
func (h *history) snapshot(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, since uint64, names []string) (s link.Snapshot, err error) {
	s.Channels = names
	if s.Seq, err = h.setFence(ctx, js); err != nil {
		return s, err
	}
	r := &reader{history: h, until: s.Seq, index: make(map[string]int), logs: make([]log, len(names))}
	if len(names) > 0 {
		if err := r.read(ctx, js, since/2+1, names); err != nil {
			return s, fmt.Errorf("reading the stream %s: %w", h.stream, err)
		}
	}
	info, err := stream.Info(ctx) // of now: messages that it no longer has were perhaps not read
	if err != nil {
		return s, err
	}
	s.Epoch = epochOf(info)
	for i := range r.logs {
		s.Logs = append(s.Logs, r.logs[i].finish(info, h.ttl, s.Seq))
	}
	return s, nil
}

// reader reads the messages of channels up to a number.
type reader struct {
	*history
	until uint64
	index map[string]int // of logs, by subject
	logs  []log
}

// read reads from a sequence on. It goes beyond the fence until there is no more, for
// the sake of log.count.
func (r *reader) read(ctx context.Context, js jetstream.JetStream, from uint64, names []string) error {
	subjects := []string{r.prefix + r.fence}
	for i, channel := range names {
		subject := string(appendSubject([]byte(r.prefix), channel))
		r.index[subject] = i
		subjects = append(subjects, subject)
	}
	consumer, err := js.CreateConsumer(ctx, r.stream, jetstream.ConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := consumer.FetchNoWait(readBatch)
		if err != nil {
			return err
		}
		var newest, pending uint64
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			newest, pending = max(newest, number(meta.Sequence.Stream)), meta.NumPending
			r.take(m, number(meta.Sequence.Stream), meta.Timestamp)
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if newest >= r.until && pending == 0 {
			return js.DeleteConsumer(ctx, r.stream, consumer.CachedInfo().Name)
		}
	}
}

// take notes a message.
func (r *reader) take(m jetstream.Msg, number uint64, at time.Time) {
	i, ok := r.index[m.Subject()]
	if !ok {
		return // the fence
	}
	l := &r.logs[i]
	l.count++
	if number > r.until {
		return // it comes live
	}
	ev, err := event(m.Headers(), m.Data())
	if err != nil {
		l.drop(number)
		return
	}
	l.kept = append(l.kept, channels.Kept{Number: number, Event: ev})
	l.times = append(l.times, at)
	for l.size += len(ev.Data); l.size > maxLog; {
		l.drop(l.kept[0].Number)
	}
}

// log has the kept messages of one channel.
type log struct {
	kept    []channels.Kept
	times   []time.Time // of each
	size    int         // of kept, in bytes
	evicted uint64
	count   int // of its messages in the stream, those that are not kept included
}

// drop notes that the messages up to a number are not in the log.
func (l *log) drop(number uint64) {
	l.evicted = max(l.evicted, number)
	for len(l.kept) > 0 && l.kept[0].Number <= number {
		l.size -= len(l.kept[0].Event.Data)
		l.kept, l.times = l.kept[1:], l.times[1:]
	}
}

// finish returns the log as of info. A message is pushed out of the stream only when
// its channel has all that are allowed; until is where the log ends.
func (l *log) finish(info *jetstream.StreamInfo, ttl time.Duration, until uint64) link.Log {
	old := number(max(info.State.FirstSeq, 1) - 1)
	if limit := info.Config.MaxMsgsPerSubject; limit > 0 && int64(l.count) >= limit {
		old = until
		if len(l.kept) > 0 {
			old = l.kept[0].Number - 1
		}
	}
	cut, _ := strconv.ParseUint(info.Config.Metadata[cutKey], 10, 64)
	l.evicted = max(l.evicted, old, number(cut))
	for i := range l.kept {
		l.kept[i].Age = info.TimeStamp.Sub(l.times[i])
	}
	for len(l.kept) > 0 && ttl > 0 && l.kept[0].Age > ttl {
		l.drop(l.kept[0].Number)
	}
	return link.Log{Kept: l.kept, Evicted: l.evicted}
}

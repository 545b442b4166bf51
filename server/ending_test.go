package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/auth"
)

// endStreams has a loop that is turned by hand end streams.
func (h handLoop) endStreams(channel, user string) (ended int, err error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	over := make(chan struct{})
	go func() {
		ended, err = h.server.EndStreams(ctx, channel, user)
		close(over)
	}()
	for {
		select {
		case <-over:
			return ended, err
		default:
			h.turnOver()
		}
	}
}

// Ensure that the streams of a channel, of a user, and of a user on a channel end, and no
// others, with what was published and a time to come back.
func TestEndStreams(t *testing.T) {
	type stream struct {
		user, target string
		peer         int
	}
	for _, tt := range []struct {
		channel, user string
		want          []int
	}{
		{"/a", "", []int{0, 1, 3, 5}},
		{"", "ann", []int{0, 2, 3}},
		{"/a", "ann", []int{0, 3}},
		{"/a", "bob", []int{1}},
		{"/c", "eve", nil},
		{"/nobody", "", nil},
		{"", "nobody", nil},
	} {
		t.Run(tt.channel+" "+tt.user, func(t *testing.T) {
			h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{})
			streams := []stream{
				{"ann", "/a", 0}, {"bob", "/a", 0}, {"ann", "/b", 0}, {"ann", "/b?channel=/a", 0}, {"bob", "/c", 0}, {"", "/a", 0}, {"", "/d", 0},
			}
			for i := range streams {
				_, streams[i].peer = h.askAs(streams[i].user, streams[i].target)
				received(streams[i].peer)
			}
			for i, channel := range []string{"/a", "/b", "/c", "/d"} {
				if _, err := h.broker.Publish(channel, channels.Event{Data: fmt.Append(nil, i)}); err != nil {
					t.Fatal(err)
				}
			}
			ended, err := h.endStreams(tt.channel, tt.user)
			if err != nil || ended != len(tt.want) {
				t.Errorf("%d have ended, %v, want %d", ended, err, len(tt.want))
			}
			h.turnOver()
			for i, s := range streams {
				got := received(s.peer)
				if isOver := comeBack.MatchString(got) && strings.HasPrefix(got, "data: "); isOver != slices.Contains(tt.want, i) {
					t.Errorf("%s on %s got %q, want it ended: %v", s.user, s.target, got, !isOver)
				}
			}
			if n := h.server.Stats(); n.Streams != int64(len(streams)-ended) {
				t.Errorf("%d streams are left, want %d", n.Streams, len(streams)-ended)
			}
		})
	}
}

// Ensure that neither a channel nor a user is an error, and that orders are bounded.
func TestEndStreamsRefused(t *testing.T) {
	h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{})
	if _, err := h.server.EndStreams(context.Background(), "", ""); err == nil {
		t.Error("all streams can be ended")
	}
	for range maxEndings {
		h.startEnding(nil, "ann")
	}
	if _, err := h.endStreamsOnce("ann"); !errors.Is(err, ErrEndings) {
		t.Errorf("one order too many: %v, want %v", err, ErrEndings)
	}
	h.turnOver()
	if len(h.endings) != 0 {
		t.Errorf("%d orders are left", len(h.endings))
	}
}

// endStreamsOnce asks and lets the loop read its mail only.
func (h handLoop) endStreamsOnce(user string) (ended int, err error) {
	over := make(chan struct{})
	go func() {
		ended, err = h.server.EndStreams(context.Background(), "", user)
		close(over)
	}()
	for {
		select {
		case <-over:
			return ended, err
		default:
			h.readMail()
		}
	}
}

// Ensure that while streams come, go and are ended in slices, each order ends all that
// were there when it came, and none but those that it concerns.
func TestEndStreamsModel(t *testing.T) {
	h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		type key struct{ channel, user string }
		open := make(map[int32]key)    // those that no order concerns
		late := make(map[int32]bool)   // those that came during an order: it may concern them
		doomed := make(map[int32]bool) // those that an order concerns
		names := []string{"/a", "/b", "/c"}
		users := []string{"", "ann", "bob"}
		rt.Repeat(map[string]func(*rapid.T){
			"open": func(rt *rapid.T) {
				if len(open)+len(doomed) >= 40 {
					return
				}
				k := key{rapid.SampledFrom(names).Draw(rt, "channel"), rapid.SampledFrom(users).Draw(rt, "user")}
				o := opening{names: [][]byte{[]byte(k.channel)}}
				if k.user != "" {
					o.user, _ = h.server.users.Join(k.user)
				}
				fd := int32(openNull(t, h, o)) // another stream may have had that descriptor
				delete(doomed, fd)
				delete(late, fd)
				if len(h.endings) > 0 {
					late[fd] = true
				} else {
					open[fd] = k
				}
			},
			"leave": func(rt *rapid.T) {
				for fd := range open {
					h.end(h.conn(fd), reasonClient)
					delete(open, fd)
					return
				}
			},
			"a doomed one leaves": func(rt *rapid.T) {
				for fd := range doomed {
					if h.owns(fd) {
						h.end(h.conn(fd), reasonClient)
					}
					delete(doomed, fd)
					return
				}
			},
			"order": func(rt *rapid.T) {
				k := key{rapid.SampledFrom(append(names, "")).Draw(rt, "channel"), rapid.SampledFrom(users).Draw(rt, "user")}
				if k == (key{}) || len(h.endings) > 3 {
					return
				}
				var channel *channels.Channel
				if k.channel != "" {
					if channel = h.broker.Find(k.channel); channel == nil {
						return
					}
				}
				h.startEnding(channel, k.user)
				for fd, s := range open {
					if (k.channel == "" || k.channel == s.channel) && (k.user == "" || k.user == s.user) {
						doomed[fd] = true
						delete(open, fd)
					}
				}
			},
			"go on": func(rt *rapid.T) { h.endOn(rapid.IntRange(1, 5).Draw(rt, "budget")) },
			"": func(rt *rapid.T) {
				for fd, k := range open {
					if h.conn(fd).state != stateStream {
						rt.Fatalf("the stream %+v has ended", k)
					}
				}
				if len(h.endings) > 0 {
					return
				}
				for fd := range doomed {
					if h.owns(fd) {
						rt.Fatalf("stream %d is still there", fd)
					}
					delete(doomed, fd)
				}
				for fd := range late {
					if h.owns(fd) {
						h.end(h.conn(fd), reasonClient)
					}
					delete(late, fd)
				}
			},
		})
		h.endOn(1000)
		for fd := range h.table.size() {
			if c := h.conn(int32(fd)); h.owns(int32(fd)) && c.state == stateStream {
				h.end(c, reasonClient)
			}
		}
	})
}

// Ensure that a verdict on a user which was under way when the user's streams were ended is
// asked for anew, and that those on others are not.
func TestKickWhileUndecided(t *testing.T) {
	for _, users := range []int{1, maxKicked + 2} {
		t.Run(fmt.Sprint(users), func(t *testing.T) {
			isBarred := false
			questions := &late{Authorizer: authorizer(func(r *auth.Request, now time.Time) auth.Verdict {
				if r.Cookie == "ann" && isBarred {
					return auth.Verdict{Status: auth.Forbidden, Means: "application", Reason: "kicked", Text: "kicked"}
				}
				return userOf(r, now)
			})}
			h := turnByHand(t, Config{Authorizer: questions}, channels.Options{})
			_, ann := h.askAs("ann", "/x")
			_, bob := h.askAs("bob", "/x")
			isBarred = true
			for i := range users {
				if ended, err := h.endStreams("", []string{"ann", fmt.Sprint("user", i)}[min(i, 1)]); err != nil || ended != 0 {
					t.Fatalf("%d ended, %v", ended, err)
				}
			}
			questions.answer() // as it was before
			h.turnOver()
			if got := received(ann); got != "" {
				t.Fatalf("by the verdict from before she got %q", got)
			}
			if users == 1 && !strings.HasSuffix(received(bob), ":\n\n") {
				t.Error("the other was asked about anew")
			}
			_, later := h.askAs("ann", "/x")
			questions.answer()
			h.turnOver()
			for _, peer := range []int{ann, later} {
				if got := received(peer); !strings.HasSuffix(got, "\r\n\r\nforbidden: kicked\nEOF") {
					t.Errorf("she got %q", got)
				}
			}
		})
	}
}

// Ensure that others do not wait for a great many streams to be ended: between two slices
// everything else goes on.
func TestEndStreamsInSlices(t *testing.T) {
	const streams = 20 * endSlice
	h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{})
	for range streams {
		openNullStream(t, h, [][]byte{[]byte("/crowd")})
	}
	_, other := h.askAs("ann", "/other")
	received(other)
	h.startEnding(h.broker.Find("/crowd"), "")
	for i := range streams / endSlice {
		publish(t, h.broker, "/other", fmt.Sprint(i), 1)
		h.on(h.waker.FD(), true, false)
		if got, want := received(other), fmt.Sprintf("data: %d\n\n", i); got != want {
			t.Fatalf("in slice %d the other stream got %q, want %q", i, got, want)
		}
		if left := h.server.Stats().Streams; left < streams-int64(i+1)*endSlice {
			t.Fatalf("after slice %d only %d streams are left", i, left)
		}
	}
	h.turnOver()
	if n := h.server.Stats(); n.Streams != 1 || n.Closed[reasonKicked.String()] != streams {
		t.Errorf("%d streams are left and %d ended, want 1 and %d", n.Streams, n.Closed[reasonKicked.String()], streams)
	}
}

// BenchmarkEndStreams is the ending of the streams of a channel, each with a socket that it
// is told through, beside the bare system calls for it.
func BenchmarkEndStreams(b *testing.B) {
	const streams = 2000 // whose sockets stay open until the end: run it with -benchtime 3x
	setUp := func(b *testing.B) (h handLoop, fds []int32) {
		h = turnByHand(b, Config{Authorizer: byQuery}, channels.Options{})
		for i := range streams {
			fd, _ := h.askAs(fmt.Sprint("user", i), "/x?1000")
			fds = append(fds, fd)
		}
		return h, fds
	}
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/streams, "ns/stream")
	}
	b.Run("ended", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			h, _ := setUp(b)
			h.startEnding(h.broker.Find("/x"), "")
			b.StartTimer()
			h.turnOver()
			if n := h.server.Stats(); n.Streams != 0 || n.Lingering != streams {
				b.Fatalf("%d streams are left", n.Streams)
			}
		}
		report(b)
	})
	b.Run("bare calls", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			_, fds := setUp(b)
			b.StartTimer()
			for _, fd := range fds {
				unix.Write(int(fd), []byte("retry: 10000\n\n"))
				unix.Shutdown(int(fd), unix.SHUT_WR)
			}
		}
		report(b)
	})
}

package server

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/testenv"
)

// byQuery grants the channels asked for to the user that the cookie names, until the time
// in seconds that the query names; for ever without one.
var byQuery = authorizer(func(r *auth.Request, now time.Time) auth.Verdict {
	v := auth.Verdict{Means: "jwt", Channels: r.Channels, User: r.Cookie}
	if seconds, err := strconv.Atoi(r.Query); err == nil {
		v.Expires = now.Add(time.Duration(seconds) * time.Second)
	}
	return v
})

// askAs opens a stream of a user by hand.
func (h handLoop) askAs(user, target string) (fd int32, peer int) {
	h.t.Helper()
	fd, peer = h.connect()
	unixWrite(h.t, peer, "GET "+target+" HTTP/1.1\r\nHost: h\r\nCookie: "+user+"\r\n\r\n")
	h.on(fd, true, false)
	return fd, peer
}

// comeBack is what a stream gets that is ended and told when to come back.
var comeBack = regexp.MustCompile(`^(?:data: \d+\n\n|:keepalive\n\n)*retry: (\d+)\n\nEOF$`)

// Ensure that streams end in the 30 s that begin 30 s after their grants do, spread over
// them, with what was published and a time to come back.
func TestEndOfGrants(t *testing.T) {
	const streams = 300
	h := turnByHand(t, Config{Authorizer: byQuery, Keepalive: 15 * time.Second}, channels.Options{})
	var peers []int
	for range streams {
		_, peer := h.askAs("u", "/x?60")
		received(peer)
		peers = append(peers, peer)
	}
	_, lasting := h.askAs("u", "/x")
	_, later := h.askAs("", "/x?100000")
	received(lasting)
	received(later)
	var ends []time.Duration
	var retries []int
	number := 0
	for *h.time < 125*time.Second {
		number++
		publish(t, h.broker, "/x", fmt.Sprint(number), len(peers)+2)
		h.pass(250 * time.Millisecond)
		peers = slices.DeleteFunc(peers, func(peer int) bool {
			got := received(peer)
			if !strings.HasSuffix(got, "EOF") {
				return false
			}
			parts := comeBack.FindStringSubmatch(got)
			if parts == nil || !strings.Contains(got, fmt.Sprintf("data: %d\n\n", number)) {
				t.Fatalf("after %v a stream ended with %q, want what was published last and retry:", *h.time, got)
			}
			retry, _ := strconv.Atoi(parts[1])
			retries = append(retries, retry)
			ends = append(ends, *h.time)
			return true
		})
	}
	if len(peers) > 0 || ends[0] < 90*time.Second || ends[streams-1] > 121*time.Second {
		t.Errorf("%d streams are left, ended from %v to %v, want all ended from 90 to 120 s", len(peers), ends[0], ends[len(ends)-1])
	}
	if early := ends[streams/3]; early < 94*time.Second || early > 106*time.Second {
		t.Errorf("a third ended by %v, want about 100 s", early)
	}
	if slices.Max(retries)-slices.Min(retries) < 2000 {
		t.Errorf("told to come back in %d to %d ms, want these spread", slices.Min(retries), slices.Max(retries))
	}
	for _, peer := range []int{lasting, later} {
		if got := received(peer); strings.Contains(got, "EOF") {
			t.Errorf("a stream whose grant has not ended got %q", got)
		}
	}
	if n := h.server.Stats(); n.Closed[reasonExpired.String()] == 0 && n.Lingering == 0 || n.Streams != 2 {
		t.Errorf("%+v, want 2 streams and the rest ended for their grants", n)
	}
}

// Ensure that a stream which is behind when its grant ends has two seconds to catch up.
func TestEndOfGrantBehind(t *testing.T) {
	for _, reads := range []bool{true, false} {
		h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{MaxEventBytes: 1 << 20, MaxKept: 1 << 23})
		fd, peer := h.askAs("u", "/x?60")
		received(peer)
		text := strings.Repeat("x", 1<<19)
		publish(t, h.broker, "/x", text, 1)
		h.turnOver()
		if !h.conn(fd).flags.is(behind) {
			t.Fatal("the stream is not behind")
		}
		h.pass(time.Until(h.server.wall().Add(119 * time.Second)))
		for h.conn(fd).state == stateStream && !h.isLeaving(&h.conn(fd).stream) {
			h.pass(tick)
		}
		if !h.owns(fd) {
			t.Fatal("it was ended at once")
		}
		if !reads {
			h.pass(lingerTimeout - tick)
			if !h.owns(fd) {
				t.Error("it had less than 2 s")
			}
			h.pass(2 * tick)
			if h.owns(fd) || h.server.Stats().Closed[reasonExpired.String()] != 1 {
				t.Errorf("it is still there: %+v", h.server.Stats())
			}
			continue
		}
		got := received(peer)
		for range 1000 {
			if strings.HasSuffix(got, "EOF") {
				break
			}
			h.on(fd, false, true)
			got += received(peer)
		}
		rest, ok := strings.CutPrefix(got, "data: "+text+"\n\n")
		if !ok || !comeBack.MatchString(rest) {
			t.Errorf("it got %d bytes that end in %.60q, want the event and retry:", len(got), got[max(0, len(got)-60):])
		}
	}
}

// Ensure that a grant which ended before it was shown, or ends in the far future, does what
// can be meant.
func TestOddEndsOfGrants(t *testing.T) {
	h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{})
	*h.time = 100 * 24 * time.Hour
	for expires, want := range map[time.Duration][2]time.Duration{
		-time.Hour:             {0, 0},
		-20 * time.Second:      {10 * time.Second, 40 * time.Second},
		time.Hour:              {time.Hour + 30*time.Second, time.Hour + time.Minute},
		1000000 * time.Hour:    {maxDuration, maxDuration},
		1<<63 - 1 - time.Hour:  {maxDuration, maxDuration},
		-(1<<63 - 1) + 1<<40*2: {0, 0},
	} {
		now := time.Unix(1_800_000_000, 0)
		h.server.wall = func() time.Time { return now }
		h.now = *h.time
		got := h.endOf(now.Add(expires)).within(maxDuration, h.now) - h.now
		if got < want[0]-tick || got > want[1]+tick {
			t.Errorf("a grant that ends in %v ends a stream in %v, want %v to %v", expires, got, want[0], want[1])
		}
	}
}

// Ensure that a user has no more streams than allowed, of all loops, and may have the next
// when one has ended.
func TestMaxConnectionsPerUser(t *testing.T) {
	h := turnByHand(t, Config{Authorizer: byQuery, MaxConnectionsPerUser: 2}, channels.Options{})
	first, _ := h.askAs("ann", "/x")
	h.askAs("ann", "/y")
	if _, peer := h.askAs("ann", "/z"); !strings.Contains(received(peer), "\r\n\r\nretry: ") {
		t.Error("a third stream of a user was not told to come back")
	}
	for _, other := range []string{"bob", ""} {
		for range 2 {
			if _, peer := h.askAs(other, "/x"); !strings.HasSuffix(received(peer), "\r\n\r\n:\n\n") {
				t.Errorf("a stream of %q was not opened", other)
			}
		}
	}
	h.end(h.conn(first), reasonClient)
	if _, peer := h.askAs("ann", "/x"); !strings.HasSuffix(received(peer), "\r\n\r\n:\n\n") {
		t.Error("a stream of a user of whom one has ended was not opened")
	}
	if _, peer := h.askAs(strings.Repeat("x", 256), "/x"); !strings.HasSuffix(received(peer), "forbidden: the name of the user has 256 bytes, want at most 255\nEOF") {
		t.Error("a long name was not refused")
	}
	if n := h.server.Stats(); n.Streams != 6 || h.server.streams.Load() != 6 {
		t.Errorf("%d streams and %d places, want 6", n.Streams, h.server.streams.Load())
	}
}

// Ensure that the lists of users' streams are what a map of sets would be.
func TestGrantsModel(t *testing.T) {
	h := turnByHand(t, Config{Authorizer: byQuery}, channels.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		open := make(map[int32]string)
		rt.Repeat(map[string]func(*rapid.T){
			"open": func(rt *rapid.T) {
				user := rapid.SampledFrom([]string{"", "ann", "bob", "eve"}).Draw(rt, "user")
				if len(open) < 30 {
					o := opening{names: [][]byte{[]byte("/x")}}
					if user != "" {
						o.user, _ = h.server.users.Join(user)
					}
					if rapid.Bool().Draw(rt, "ends") {
						o.expires = time.Now().Add(time.Hour)
					}
					open[int32(openNull(t, h, o))] = user
				}
			},
			"end": func(rt *rapid.T) {
				for fd := range open {
					h.end(h.conn(fd), reasonClient)
					delete(open, fd)
					break
				}
			},
			"": func(rt *rapid.T) {
				want := make(map[string][]int32)
				for fd, user := range open {
					if user != "" {
						want[user] = append(want[user], fd)
					}
				}
				for _, user := range []string{"ann", "bob", "eve"} {
					ref, streams := h.server.users.Find(user)
					var got []int32
					before := link(0)
					for i := h.byUser.m[ref]; i != 0 && ref != 0; {
						g := h.table.grants.at(i.id())
						if g.before != before {
							rt.Fatalf("%s: stream %d has %d before it, want %d", user, i.id(), g.before, before)
						}
						got = append(got, int32(i.id()))
						before, i = i, g.after
					}
					slices.Sort(got)
					slices.Sort(want[user])
					if !slices.Equal(got, want[user]) || streams != len(got) {
						rt.Fatalf("%s has the streams %d, and %d of them, want %d", user, got, streams, want[user])
					}
				}
			},
		})
		for fd := range open {
			h.end(h.conn(fd), reasonClient)
		}
	})
	if len(h.byUser.m) > 0 {
		t.Errorf("%d users are left", len(h.byUser.m))
	}
}

// Ensure that a grant costs an idle stream at most 24 bytes more, a user at most 120 and
// the name, and that nothing is there for streams without one.
func TestMemoryOfGrants(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector takes memory")
	}
	const streams = 8 << 10
	h := turnByHand(t, Config{Authorizer: byQuery, Keepalive: 15 * time.Second}, channels.Options{}) // so all have a timer
	names := [][]byte{[]byte("/x")}
	cost := func(o func(i int) opening) float64 {
		before := heapInUse()
		fds := make([]int32, 0, streams)
		for i := range streams {
			fds = append(fds, int32(openNull(t, h, o(i))))
		}
		each := float64(heapInUse()-before) / streams
		for _, fd := range fds {
			h.end(h.conn(fd), reasonClient)
		}
		return each
	}
	without := func(int) opening { return opening{names: names} }
	cost(without) // the slots appear
	plain := cost(without)
	for i := range h.table.grants {
		if h.table.grants[i].Load() != nil {
			t.Fatal("there are grants of streams that have none")
		}
	}
	expires := time.Now().Add(time.Hour)
	one, _ := h.server.users.Join("ann")
	shared := cost(func(int) opening {
		h.server.users.Join("ann")
		return opening{names: names, user: one, expires: expires}
	}) - plain
	own := cost(func(i int) opening {
		user, _ := h.server.users.Join(fmt.Sprintf("user%08d", i))
		return opening{names: names, user: user, expires: expires}
	}) - plain - 16 // the name, as it is allocated
	t.Logf("%.1f bytes a stream, and more by its grant: %.1f, a user of its own beside %.1f", plain, shared, own)
	if shared > 24 {
		t.Errorf("a grant costs a stream %.1f bytes, want at most 24", shared)
	}
	if own > 120 {
		t.Errorf("a user costs %.1f bytes beside the name, want at most 120", own)
	}
	runtime.KeepAlive(h.loop)
}

package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/testenv"
)

// handModel is a server that is handed over time and again, some of these times in vain, beside
// a twin that is not. All clients are at both, and get the same bytes.
type handModel struct {
	t       *testing.T
	random  *rand.Rand
	opts    channels.Options
	cfg     Config
	s, twin *Server
	clients []*handClient
	news    []*handClient // those that have come while an upgrade is under way
	number  int           // the sequence of the newest message or gap
	gapped  [handChannels]bool

	upgrades, inVain int
	ended            int // streams of successors that vanished
}

// handChannels is how many channels there are.
const handChannels = 4

// newHandModel starts both servers.
func newHandModel(t *testing.T, seed uint64, tables FDTables) *handModel {
	m := &handModel{t: t, random: rand.New(rand.NewPCG(seed, 0))}
	m.opts = channels.Options{History: 10_000, Epoch: "E", MaxEventBytes: 128 << 10}
	m.cfg = Config{Loops: 1 + m.random.IntN(3), FDTables: tables, Gzip: gzipOf(t, "/0")}
	m.s, _ = start(t, m.cfg, m.opts)
	m.twin, _ = start(t, m.cfg, m.opts)
	m.opts.Epoch = "" // a successor has it of its predecessor
	return m
}

// handClient is a client of both servers.
type handClient struct {
	target string
	gzip   bool
	slow   bool // it does not read until it settles
	came   int  // before that many upgrades had been begun
	mayEnd bool // it was perhaps accepted by a successor that has vanished since
	lastID string
	here   *handStream // at the server that is handed over
	there  *handStream // at the twin
}

// handStream is one of a client's two streams.
type handStream struct {
	net.Conn
	mu  sync.Mutex
	got []byte
	err error // why there is no more
}

// connect opens one stream. Its answer may have to wait for the next step of an upgrade.
func (c *handClient) connect(t *testing.T, s *Server) *handStream {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if c.slow {
		conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	request := "GET " + c.target + " HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + c.lastID + "\r\n"
	if c.gzip {
		request += "Accept-Encoding: gzip\r\n"
	}
	io.WriteString(conn, request+"\r\n")
	return &handStream{Conn: conn}
}

// read keeps what comes until the stream ends.
func (h *handStream) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := h.Read(buf)
		h.mu.Lock()
		h.got = append(h.got, buf[:n]...)
		h.err = err
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// awaitAnswer waits until something has come. A slow client reads one byte for that.
func (h *handStream) awaitAnswer(t *testing.T, slow bool) {
	t.Helper()
	answered := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.got) > 0 || h.err != nil
	}
	switch {
	case answered():
	case slow:
		first := make([]byte, 1)
		n, err := h.Read(first)
		h.got, h.err = first[:n], err
	default:
		testenv.Eventually(t, "a stream is answered", answered)
	}
}

// headThen is in a gap event: how far the order had come when the client was told.
var headThen = regexp.MustCompile(`"head":"E-[0-9]+"`)

// text returns what has come after the head, without its coding.
func (h *handStream) text(t *testing.T, gzip bool) (text string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	head, text, _ := strings.Cut(string(h.got), "\r\n\r\n")
	if head != "" && !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Fatalf("a stream is answered by %q", head)
	}
	if gzip {
		text = inflated(t, text)
	}
	return headThen.ReplaceAllString(text, `"head":""`), h.err
}

// open opens a client's streams at both servers.
func (m *handModel) open(c *handClient) {
	m.t.Helper()
	c.here, c.there = c.connect(m.t, m.s), c.connect(m.t, m.twin)
	if !c.slow {
		go c.here.read()
		go c.there.read()
	}
}

// join has a client come.
func (m *handModel) join() {
	m.t.Helper()
	first := m.random.IntN(handChannels)
	c := &handClient{target: fmt.Sprint("/", first), came: m.upgrades + m.inVain, lastID: fmt.Sprint("E-", m.number), slow: m.random.IntN(4) == 0, gzip: first == 0 && m.random.IntN(2) == 0}
	if !c.gzip && m.random.IntN(3) == 0 {
		c.target += fmt.Sprint("?channel=/", (first+1)%handChannels)
	}
	m.open(c)
	m.clients, m.news = append(m.clients, c), append(m.news, c)
}

// publish publishes messages on both servers.
func (m *handModel) publish(n int) {
	m.t.Helper()
	for range n {
		channel := fmt.Sprint("/", m.random.IntN(handChannels))
		m.send(channel, fmt.Sprintf("%d %s", m.number+1, strings.Repeat("x", m.random.IntN(1<<m.random.IntN(15)))))
	}
}

// send publishes a message on both servers.
func (m *handModel) send(channel, data string) {
	m.t.Helper()
	m.number++ // which is its sequence
	for _, s := range []*Server{m.s, m.twin} {
		_, err := s.broker.Publish(channel, channels.Event{Data: []byte(data)})
		for errors.Is(err, channels.ErrBusy) {
			_, err = s.broker.Publish(channel, channels.Event{Data: []byte(data)})
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// gap tells the subscribers of a channel that they may miss something, once: of several gaps,
// a client is told of those that it has time for.
func (m *handModel) gap() {
	i := m.random.IntN(handChannels)
	if m.gapped[i] {
		return
	}
	m.gapped[i] = true
	m.number++
	channel := fmt.Sprint("/", i)
	for _, s := range []*Server{m.s, m.twin} {
		s.broker.Feed().Interrupted(channel)
	}
	m.send(channel, "behind the gap") // so that another one has a place of its own
}

// settle waits until a client has had everything at both servers, and checks that it is the
// same. One that a successor had accepted which vanished returns by its last event id.
func (m *handModel) settle(c *handClient) {
	m.t.Helper()
	if c.slow {
		c.slow = false
		for _, h := range []*handStream{c.here, c.there} {
			go h.read()
		}
	}
	last := fmt.Sprint("the end ", m.number+1)
	m.send(c.target[:2], last)
	there, err := m.await(c, c.there, last)
	if err != nil {
		m.t.Fatalf("%s: the twin's stream has ended after %d bytes: %v", c.target, len(there), err)
	}
	here, err := m.await(c, c.here, last)
	if err != nil {
		if !c.mayEnd {
			m.t.Fatalf("%s, gzip: %v: its stream has ended after %d bytes: %v", c.target, c.gzip, len(here), err)
		}
		if !strings.HasPrefix(there, here) {
			m.t.Fatalf("%s, gzip: %v: at byte %d of its stream, which has ended, it is not as its twin", c.target, c.gzip, differs(here, there))
		}
		c.lastID = cmp.Or(lastIDOf(here), c.lastID)
		m.ended++
		m.open(c)
		c.mayEnd = false
		m.settle(c)
		return
	}
	if i := differs(here, there); i >= 0 {
		m.t.Fatalf("%s, gzip: %v: from byte %d on it got %.160q, its twin %.160q", c.target, c.gzip, i, here[max(i-80, 0):], there[max(i-80, 0):])
	}
	c.lastID = lastIDOf(here)
}

// await returns the text of a stream once a message has come, or the stream has ended.
func (m *handModel) await(c *handClient, h *handStream, message string) (text string, err error) {
	m.t.Helper()
	testenv.Eventually(m.t, "a client has everything", func() bool {
		text, err = h.text(m.t, c.gzip)
		return strings.HasSuffix(text, "\n\n") && strings.Contains(text, "data: "+message+"\n") || err != nil
	})
	if strings.Contains(text, "data: "+message+"\n") {
		err = nil
	}
	return text, err
}

// lastIDOf returns the id of the last whole event of a text, empty for none.
func lastIDOf(text string) string {
	text = text[:max(strings.LastIndex(text, "\n\n"), 0)]
	at := strings.LastIndex(text, "\nid: ")
	if at < 0 {
		return ""
	}
	id, _, _ := strings.Cut(text[at+len("\nid: "):], "\n")
	return id
}

// leave has a client go, or go and return if it may.
func (m *handModel) leave(mayReturn bool) {
	m.t.Helper()
	if len(m.clients) == 0 {
		return
	}
	i := m.random.IntN(len(m.clients))
	c := m.clients[i]
	returns := mayReturn && m.random.IntN(2) == 0
	if returns {
		m.settle(c)
	}
	c.here.Close()
	c.there.Close()
	if returns {
		m.publish(m.random.IntN(3))
		m.open(c)
		m.news = append(m.news, c)
		return
	}
	m.clients = append(m.clients[:i], m.clients[i+1:]...)
}

// little does something that clients or publishers do. While a loop is on its way, nothing can
// wait for it.
func (m *handModel) little(underWay bool) {
	m.t.Helper()
	switch m.random.IntN(8) {
	case 0:
		m.join()
	case 2:
		if underWay {
			m.gap()
		}
	case 1:
		m.leave(!underWay)
	default:
		m.publish(1 + m.random.IntN(4))
	}
}

// upgrade hands the server over, or begins to.
func (m *handModel) upgrade(inVain bool) {
	m.t.Helper()
	for _, c := range m.clients { // or the successor would accept some that came before
		c.here.awaitAnswer(m.t, c.slow)
	}
	u := succeed(m.t, m.s, m.opts)
	m.news = nil
	steps := 2 * m.s.Loops()
	if inVain {
		steps = m.random.IntN(steps + 1)
	}
	for step := range steps {
		if step%2 == 0 {
			u.hand(step / 2)
		} else {
			u.commit(step / 2)
		}
		for range m.random.IntN(4) {
			m.little(true)
		}
	}
	if inVain {
		for _, end := range u.ends[(steps+1)/2:] {
			unix.Close(end)
		}
		m.takeBack(u)
		return
	}
	u.over()
	m.s = u.next
	m.upgrades++
}

// takeBack has the successor vanish as a process that is killed.
func (m *handModel) takeBack(u *succession) {
	m.t.Helper()
	u.next.LetGo()
	u.next.Close()
	taken, err := m.s.TakeBack()
	if err != nil || taken.Unexplained > 0 || taken.Severed > 0 {
		m.t.Fatalf("%+v, %v", taken, err)
	}
	u.tap.Close()
	if err := <-u.relaying; err != nil {
		m.t.Fatal(err)
	}
	m.inVain++
	for _, c := range m.news {
		c.mayEnd = true
	}
}

// Ensure that a client cannot tell a server that is handed over, time and again and some of
// these times in vain, from one that is not: whatever comes, goes, is behind and is published
// meanwhile, its bytes are the same.
func TestHandOverAgainstTwin(t *testing.T) {
	upgrades := 4
	if testenv.Full() {
		upgrades = 40
	}
	for _, tables := range []FDTables{FDTablesShared, FDTablesPerLoop} {
		t.Run(string(tables), func(t *testing.T) {
			seed := rand.Uint64()
			fmt.Sscan(os.Getenv("MILLRACE_TEST_SEED"), &seed)
			t.Logf("MILLRACE_TEST_SEED=%d", seed)
			m := newHandModel(t, seed, tables)
			m.publish(1) // so that there is an id to come with
			for range 12 {
				m.join()
			}
			for range upgrades {
				for range 10 {
					m.little(false)
				}
				m.upgrade(m.random.IntN(2) == 0)
				for _, c := range m.clients {
					if c.slow && m.upgrades+m.inVain-c.came > 5 { // before the kernel gives it up
						m.settle(c)
					}
				}
			}
			for _, c := range m.clients {
				m.settle(c)
			}
			t.Logf("%d upgrades, %d in vain, %d messages, %d clients, %d came for nothing", m.upgrades, m.inVain, m.number, len(m.clients), m.ended)
		})
	}
}

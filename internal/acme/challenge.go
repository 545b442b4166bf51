package acme

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// lookupTime is how long a handshake waits for the storage, which may be on another host:
// anybody may ask for a challenge, and a handshake holds a token meanwhile.
const lookupTime = time.Second

// ErrBusy says that the storage does not answer.
var ErrBusy = errors.New("the storage does not say what is to be proved")

// lookup is one look into the storage for the challenge of another node.
type lookup struct {
	begun       time.Time
	done        chan struct{}
	certificate *tls.Certificate // once done is closed, as err
	err         error
}

// lookups are the last ones, by domain. Safe for concurrent use.
type lookups struct {
	mu sync.Mutex
	of map[string]*lookup
}

// get returns what look returns. While one is under way, there is no other for that domain.
func (l *lookups) get(domain string, look func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	l.mu.Lock()
	last := l.of[domain]
	if last == nil || last.isOver() {
		last = &lookup{begun: time.Now(), done: make(chan struct{})}
		if l.of == nil {
			l.of = make(map[string]*lookup)
		}
		l.of[domain] = last
		go func() {
			defer close(last.done)
			last.certificate, last.err = look()
		}()
	}
	l.mu.Unlock()
	timer := time.NewTimer(lookupTime - time.Since(last.begun))
	defer timer.Stop()
	select {
	case <-last.done:
		return last.certificate, last.err
	case <-timer.C:
		return nil, ErrBusy
	}
}

func (l *lookup) isOver() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Challenge implements certs.Issued.
func (m *Manager) Challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Contains(m.cfg.Domains, hello.ServerName) {
		return nil, fmt.Errorf("%.64q is to be proved, which is no domain of this node", hello.ServerName)
	}
	asked := *hello
	asked.Conn = nowhere{}
	prove := func() (*tls.Certificate, error) { return m.prover.GetCertificate(&asked) }
	if _, own := certmagic.GetACMEChallenge(hello.ServerName); own { // which is in memory
		return prove()
	}
	return m.lookups.get(hello.ServerName, prove)
}

// nowhere is a connection of which certmagic asks for the addresses, to log them.
type nowhere struct{ net.Conn }

func (nowhere) RemoteAddr() net.Addr { return &net.TCPAddr{} }
func (nowhere) LocalAddr() net.Addr  { return &net.TCPAddr{} }

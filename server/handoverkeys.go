package server

import (
	"millrace/internal/handover"
	"millrace/internal/tlsrecord"
)

// The keys of TLS connections are of use in one process at a time, or a nonce could be used
// twice. Until the commit they are the predecessor's, which goes on if there is none; it clears
// them before it sends that, and the successor seals nothing before it has come. They pass
// through one buffer on each side, which is cleared.

// keysBytes is the length of a frame of keys, at most.
const keysBytes = 32 << 10

// sendKeys sends the keys of the connections that are handed over.
func (l *loop) sendKeys() error {
	w := handover.Writer{Version: l.server.handing.version}
	w.Grow(keysBytes)
	var state [tlsrecord.StateLen]byte
	defer func() { w.Wipe(); clear(state[:]) }()
	flush := func() error {
		defer w.Wipe()
		return l.handed.conn.Send(handover.KindKeys, w.Bytes())
	}
	for i, id := range l.handed.ids {
		if !l.hasKeys(l.table.at(id)) {
			continue
		}
		if w.Len()+handover.KeysLen(len(state)) > keysBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		k := handover.Keys{Connection: uint32(i), State: l.keys.at(id).AppendState(state[:0])}
		k.Append(&w)
	}
	if w.Len() == 0 {
		return nil
	}
	return flush()
}

// hasKeys tells whether a connection has TLS, and its handshake is over.
func (l *loop) hasKeys(c *conn) bool {
	if !c.flags.is(secure) {
		return false
	}
	state := l.keys.at(c.id())
	return state != nil && !state.IsZero()
}

// wipeKeys clears the keys of the connections that are handed over. Nothing can be sealed for
// them here any more.
func (l *loop) wipeKeys() {
	for _, id := range l.handed.ids {
		if c := l.table.at(id); l.hasKeys(c) {
			l.keys.at(id).Clear()
			l.counters.secure.Add(-1)
		}
	}
}

package h2

import "encoding/binary"

// AppendSettings appends the SETTINGS that a connection begins with: no table of headers, the
// limits, and that priorities mean nothing here.
func (r *Reader) AppendSettings(dst []byte) []byte {
	settings := [...]struct {
		id    uint16
		value int
	}{
		{settingTableSize, 0},
		{settingMaxStreams, r.limits.Streams},
		{settingMaxHeaderListSize, r.limits.Head.MaxBytes},
		{settingNoPriorities, 1},
	}
	dst = appendHeader(dst, settingLen*len(settings), typeSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, s.id)
		dst = binary.BigEndian.AppendUint32(dst, uint32(s.value))
	}
	return dst
}

// settingLen is the length of one setting, in bytes.
const settingLen = 6

// onSettings takes in the client's settings, and acknowledges them, or its acknowledgement of
// ours (RFC 9113, 6.5).
func (r *Reader) onSettings(c *Conn, s Streams, f *frame) (Event, error) {
	switch {
	case f.stream != 0:
		return Event{}, &Error{ProtocolError, "a SETTINGS of a stream"}
	case f.has(flagAck) && len(f.payload) > 0, len(f.payload)%settingLen != 0:
		return Event{}, &Error{FrameSizeError, "a SETTINGS of a wrong length"}
	}
	if err := c.budget.spend(costSettings + len(f.payload)/settingLen/settingsPerCost); err != nil {
		return Event{}, err
	}
	if f.has(flagAck) {
		c.flags |= acknowledged
		return Event{}, nil
	}
	c.flags |= settled
	r.Out = appendHeader(r.Out, 0, typeSettings, flagAck, 0)
	initial, err := initialWindowIn(f.payload, c.initial)
	if err != nil || initial == c.initial {
		return Event{}, err
	}
	for stream := range s.All() {
		if !grow(&stream.window, int64(initial)-int64(c.initial)) {
			return Event{}, &Error{FlowControlError, "a window of more than 2^31-1 bytes"}
		}
	}
	c.initial = initial
	return Event{Kind: Writable}, nil
}

// initialWindowIn checks settings, and returns the one of them that matters here: the window
// of a stream, which was initial. Our header blocks use no table, our frames are the smallest
// that everybody takes, and we push nothing.
func initialWindowIn(settings []byte, initial int32) (int32, error) {
	for ; len(settings) > 0; settings = settings[settingLen:] {
		id, value := binary.BigEndian.Uint16(settings), binary.BigEndian.Uint32(settings[2:])
		switch id {
		case settingEnablePush, settingNoPriorities:
			if value > 1 {
				return 0, &Error{ProtocolError, "a setting that is neither 0 nor 1"}
			}
		case settingInitialWindow:
			if value > maxWindow {
				return 0, &Error{FlowControlError, "a window of more than 2^31-1 bytes"}
			}
			initial = int32(value)
		case settingMaxFrameSize:
			if value < MaxPayload || value >= 1<<24 {
				return 0, &Error{ProtocolError, "a frame size that is not 2^14 to 2^24-1"}
			}
		}
	}
	return initial, nil
}

package h2

// ErrCode says why a stream or a connection ends (RFC 9113, 7).
type ErrCode uint32

const (
	NoError          ErrCode = 0
	ProtocolError    ErrCode = 1
	FlowControlError ErrCode = 3
	SettingsTimeout  ErrCode = 4
	StreamClosed     ErrCode = 5
	FrameSizeError   ErrCode = 6
	RefusedStream    ErrCode = 7
	Cancel           ErrCode = 8
	CompressionError ErrCode = 9
	EnhanceYourCalm  ErrCode = 11
)

// Error is why a connection has failed: see Conn.AppendGoAway. The text has nothing of the
// peer's.
type Error struct {
	Code ErrCode
	Text string
}

func (e *Error) Error() string { return "HTTP/2: " + e.Text }

package tlsrecord

import "fmt"

// Alert says why a connection ends (RFC 8446, 6).
type Alert uint8

const (
	CloseNotify       Alert = 0
	UnexpectedMessage Alert = 10
	BadRecordMAC      Alert = 20
	RecordOverflow    Alert = 22
	DecodeError       Alert = 50
	IllegalParameter  Alert = 47
	InternalError     Alert = 80
	userCanceled      Alert = 90
)

// Error is why a connection has failed: Alert is to be sent, unless the peer has sent it.
type Error struct {
	Alert  Alert
	ByPeer bool
	Text   string
}

func (e *Error) Error() string {
	if e.ByPeer {
		return fmt.Sprintf("the peer ended the connection by TLS alert %d", e.Alert)
	}
	return "TLS: " + e.Text
}

//go:build !linux

package handover

// Pair returns ErrUnsupported.
func Pair() (a, b int, err error) { return -1, -1, ErrUnsupported }

func (c *Conn) close() error { return ErrUnsupported }

// Interrupt returns ErrUnsupported.
func (c *Conn) Interrupt() error { return ErrUnsupported }

// HearOut returns ErrUnsupported.
func (c *Conn) HearOut() error { return ErrUnsupported }

// HasEnded returns true.
func (c *Conn) HasEnded() bool { return true }

func (c *Conn) send(Kind, []byte, []int) error { return ErrUnsupported }

func (c *Conn) receive() (Frame, error) { return Frame{}, ErrUnsupported }

func closeAll([]int) {}

// Cookie returns ErrUnsupported.
func Cookie(fd int) (uint64, error) { return 0, ErrUnsupported }

package node

import (
	"cmp"
	"fmt"
	"os"
	"strconv"

	"millrace/internal/doctor"
	"millrace/internal/handover"
	"millrace/server"
)

// hello returns what a process says of itself before an upgrade. loops is 0 for a successor
// that takes as many as there are.
func (o *Options) hello(loops int) *handover.Hello {
	return &handover.Hello{
		Oldest: handover.Oldest, Newest: handover.Version, Binary: o.Version,
		Loops: uint32(loops), DescriptorLimit: uint64(server.DescriptorLimit()),
		Settings: o.settings(),
	}
}

// ifNeeded is the value of a setting that is there or not.
func ifNeeded(is bool) string {
	if is {
		return "needed"
	}
	return ""
}

// settings are those in which both processes of an upgrade must be alike, by their flags:
// state that travels depends on them, or clients do. Whether anybody may listen, or publish, is
// among them since streams and connections that move keep what they have.
func (o *Options) settings() handover.Settings {
	return handover.Settings{
		{Name: "--listen", Value: cmp.Or(o.Public.Listen, Off)},
		{Name: "--tls-listen", Value: cmp.Or(o.Public.TLSListen, Off)},
		{Name: "--admin", Value: cmp.Or(o.Admin.Listen, Off)},
		{Name: "--admin-tls", Value: strconv.FormatBool(o.Admin.TLS)},
		{Name: "--ops", Value: cmp.Or(o.Ops.Listen, Off)},
		{Name: "--ops-tls", Value: strconv.FormatBool(o.Ops.TLS)},
		{Name: "--proxy-protocol", Value: strconv.FormatBool(o.Public.ProxyProtocol)},
		{Name: "--history above 0", Value: strconv.FormatBool(o.Broker.History > 0)},
		{Name: "--decode", Value: o.Forms.String()},
		{Name: "--gzip", Value: fmt.Sprint(o.Public.Gzip)},
		{Name: "--channel-prefix", Value: o.ChannelPrefix},
		{Name: "a grant for each stream", Value: ifNeeded(!o.Access.IsOpen())},
		{Name: "a password of the admin port", Value: ifNeeded(o.Admin.Password != "")},
		handover.Secret("--backplane", o.Backplane),
	}
}

// successorReserve is the memory of a successor beside what this process has, in bytes.
const successorReserve = 32 << 20

// roomForSuccessor tells why the control group of this process has no room for another one
// like it, for the seconds of an upgrade.
func roomForSuccessor() error {
	host := doctor.Local()
	memory, tasks := host.Room()
	if need := residentMemory() + successorReserve; memory < need {
		return fmt.Errorf("a second process takes %d MiB for a few seconds, and there are %d MiB: raise MemoryMax", need>>20, memory>>20)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if need := int64(len(threads)); err == nil && tasks < need {
		return fmt.Errorf("a second process takes %d threads for a few seconds, and there may be %d more: raise TasksMax", need, tasks)
	}
	return nil
}

// residentMemory returns the memory that this process has to itself, in bytes, 0 if that
// cannot be read.
func residentMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	var size, resident, shared int64 // pages
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &resident, &shared)
	}
	if err != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}

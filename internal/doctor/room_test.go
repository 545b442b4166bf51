package doctor

import "testing"

// Ensure that the room for another process is that of the tightest limit.
func TestRoom(t *testing.T) {
	for _, tt := range []struct {
		host         Host
		bytes, tasks int64
	}{
		{Host{MemAvailable: Unknown}, Unlimited, Unlimited},
		{Host{MemAvailable: 100}, 100, Unlimited},
		{Host{MemAvailable: 100, Memory: ceiling{"memory.max", 90, 20}}, 70, Unlimited},
		{Host{MemAvailable: 50, Memory: ceiling{"memory.max", 90, 20}}, 50, Unlimited},
		{Host{MemAvailable: 50, Memory: ceiling{"memory.max", Unlimited, 20}, Pids: ceiling{"pids.max", 10, 7}}, 50, 3},
		{Host{MemAvailable: 50, Memory: ceiling{"memory.max", 10, 20}, Pids: ceiling{"pids.max", Unlimited, 7}}, 0, Unlimited},
	} {
		if bytes, tasks := tt.host.Room(); bytes != tt.bytes || tasks != tt.tasks {
			t.Errorf("%+v: %d bytes and %d tasks, want %d and %d", tt.host, bytes, tasks, tt.bytes, tt.tasks)
		}
	}
}

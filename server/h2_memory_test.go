package server

import (
	"reflect"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"millrace/channels"
	"millrace/internal/testenv"
	"millrace/internal/tlsrecord"
)

// Ensure that an idle stream of HTTP/2 takes what docs/design.md says, and no object of the
// heap, no pointer and no goroutine of its own.
func TestMemoryOfH2(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[conn](), reflect.TypeFor[h2Conn](), reflect.TypeFor[sharedStream](), reflect.TypeFor[tlsrecord.State]()} {
		if path, ok := pointerIn(of); ok {
			t.Errorf("%v has a pointer: %s", of, path)
		}
	}
	const entry, wheel = 4, 6 // in a list of subscribers, and of the wheel's blocks
	further := int(unsafe.Sizeof(sharedStream{})) + entry
	first := int(unsafe.Sizeof(conn{})+unsafe.Sizeof(tlsrecord.State{})+unsafe.Sizeof(h2Conn{})) + further + wheel
	t.Logf("%d bytes for the first stream of a connection, %d for each further one", first, further)
	if first > 350 || further > 60 {
		t.Errorf("%d bytes for the first stream of a connection, %d for each further one; want at most 350 and 60", first, further)
	}
	if testenv.Race {
		t.Skip("the race detector takes memory")
	}
	const connections, each = 32, 250
	h := turnByHand(t, Config{Keepalive: time.Minute}, channels.Options{})
	open := func() {
		for range connections {
			c := h.connectH2(65535)
			for range each {
				c.ask("/x")
				c.take()
			}
		}
	}
	open()
	before, objects, goroutines := heapInUse(), liveObjects(), runtime.NumGoroutine()
	open()
	grown, more := heapInUse()-before, liveObjects()-objects
	const streams = connections * each
	if n := h.counters.streams.Load(); n != 2*streams {
		t.Fatalf("%d streams, want %d", n, 2*streams)
	}
	t.Logf("%.1f bytes and %.3f objects a stream", float64(grown)/streams, float64(more)/streams)
	if grown > 80*streams { // lists and slabs grow by more than they need
		t.Errorf("%d bytes for %d streams, want at most 80 each", grown, streams)
	}
	if n := runtime.NumGoroutine() - goroutines; more > streams/50 || n > 0 {
		t.Errorf("%d objects and %d goroutines for %d streams", more, n, streams)
	}
	runtime.KeepAlive(h.loop)
}

// liveObjects is how many objects the heap has.
func liveObjects() int {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapObjects)
}

// pointerIn returns where a type has a pointer.
func pointerIn(t reflect.Type) (path string, ok bool) {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if path, ok := pointerIn(f.Type); ok {
				return f.Name + "." + path, true
			}
		}
	case reflect.Array:
		return pointerIn(t.Elem())
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.String, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return t.String(), true
	}
	return "", false
}

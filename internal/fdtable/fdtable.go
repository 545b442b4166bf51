// Package fdtable runs goroutines on OS threads that have a descriptor table of
// their own, so that a process can hold more descriptors than its limit, which
// bounds the numbers in one table (getrlimit(2), RLIMIT_NOFILE).
//
// [Go] starts such a goroutine, with [Supported] to ask before. The thread begins with
// a copy of the process's table (unshare(2), CLONE_FILES), of which everything is
// closed but standard input, output and error, the pollers and eventfds that
// were open when Go was called, and the sockets of ferries: a number by which one
// thread wakes another must mean the same in all tables. Only the goroutine can use
// the descriptors that it opens, and it cannot use those that the rest of the process
// opens later, unless a [Ferry] brings one.
//
// Why this is sound in Go. A goroutine that stays locked to its thread is the
// only one to run on it, so no other meets the wrong table. New threads are
// cloned from a thread that no goroutine has locked, so none inherits a table by
// accident. The runtime itself does one thing on a locked thread: it looks at its
// poller while it collects garbage or looks for work, by a number that every
// table therefore keeps.
//
// When not to use it. Inside, a descriptor of the rest of the process is a number
// that means nothing, or a different file: never log to a file, exec, or touch a
// net.Conn or os.File that was opened outside, but for the standard ones. On
// systems other than Linux there is no such thing.
package fdtable

import "errors"

// ErrUnsupported is wrapped by errors that say why there can be no descriptor
// table a thread here.
var ErrUnsupported = errors.New("this system has no descriptor table per event loop")

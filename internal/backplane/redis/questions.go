package redis

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// question is a command on a session's connection. The server answers one after the
// other: SUBSCRIBE and UNSUBSCRIBE by a line for each name, PING by one, and each by
// a single error instead, when it refuses it.
type question struct {
	kind  string   // of the answers: subscribe, unsubscribe or pong
	names []string // of channels; none for the fence and pings
	left  int      // answers to come
}

// questions are those without an answer, oldest first. Safe for concurrent use.
type questions struct {
	mu   sync.Mutex
	list []question
}

// ask notes a question that is about to be asked, with so many answers.
func (q *questions) ask(kind string, answers int, names []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, question{kind, names, answers})
}

// answer takes in one answer, and returns the question and whether that was the last.
func (q *questions) answer(kind string) (asked question, last bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 || q.list[0].kind != kind {
		return question{}, false, fmt.Errorf("%w: %s, which was not asked for", errReply, kind)
	}
	asked = q.list[0]
	q.list[0].left--
	if last = q.list[0].left == 0; last {
		q.list = q.list[1:]
	}
	return asked, last, nil
}

// refuse takes in an error, which is the answer to all of a question.
func (q *questions) refuse() (asked question, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return question{}, false
	}
	asked, q.list = q.list[0], q.list[1:]
	return asked, true
}

// fromServer tells whether err is an error that the server has answered with.
func fromServer(err error) bool {
	var said redis.Error
	return errors.As(err, &said) && said != redis.Nil
}

// refusesNames tells whether the server, by err, refuses the names in a command, and not
// the command itself, nor everything at this time.
func refusesNames(err error) bool {
	if !fromServer(err) {
		return false
	}
	text := err.Error()
	return !strings.Contains(text, "' command") &&
		(strings.HasPrefix(text, "NOPERM ") || strings.HasPrefix(text, "ERR "))
}

// readsOnly tells whether the server, by err, refuses writes at this time: it has no
// memory, is a replica, or cannot save its data. It refuses PING then, too.
func readsOnly(err error) bool {
	if !fromServer(err) {
		return false
	}
	for _, code := range []string{"OOM ", "READONLY ", "MISCONF ", "NOREPLICAS "} {
		if strings.HasPrefix(err.Error(), code) {
			return true
		}
	}
	return false
}

// isBusy tells whether the server, by err, runs a script for so long that it answers
// nothing else.
func isBusy(err error) bool { return fromServer(err) && strings.HasPrefix(err.Error(), "BUSY ") }

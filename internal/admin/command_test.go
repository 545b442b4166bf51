package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
	"millrace/server"
)

// push is a message of bulk strings, with the text after them, in RESP2.
func push(behind string, bulks ...string) string {
	fields := len(bulks)
	if behind != "" {
		fields++
	}
	text := resp.AppendArray(nil, fields)
	for _, bulk := range bulks {
		text = resp.AppendBulk(text, bulk)
	}
	return string(text) + behind
}

// push3 is what push is in RESP3.
func push3(behind string, bulks ...string) string { return ">" + push(behind, bulks...)[1:] }

func notNow(name string) string {
	return "-ERR Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n"
}

// replyTable has requests, all that is answered, and that in RESP3 where it
// differs.
var replyTable = []struct{ request, want, want3 string }{
	{"PUBLISH /a x", ":2\r\n", ""},
	{"pUbLiSh /none x", ":0\r\n", ""},
	{"PUBLISH /a", "-ERR wrong number of arguments for 'publish' command\r\n", ""},
	{"PING\n\"SSE.PUBLISH\" /a \"two words\"", "+PONG\r\n:2\r\n", ""},
	{"SSE.PUBLISH /a x EVENT news RETRY 5000", ":2\r\n", ""},
	{"sse.publish /a x retry 0", ":2\r\n", ""},
	{"SSE.PUBLISH /a", "-ERR wrong number of arguments for 'sse.publish' command\r\n", ""},
	{"SSE.PUBLISH /a x ID 1", "-ERR unknown option \"ID\" of SSE.PUBLISH: want EVENT type or RETRY milliseconds\r\n", ""},
	{"SSE.PUBLISH /a x EVENT", "-ERR option \"EVENT\" of SSE.PUBLISH without a value: want EVENT type or RETRY milliseconds\r\n", ""},
	{"SSE.PUBLISH /a x RETRY -1", "-ERR RETRY \"-1\": want milliseconds, 0 to 2147483647\r\n", ""},
	{"SSE.PUBLISH /a x RETRY 2147483648", "-ERR RETRY \"2147483648\": want milliseconds, 0 to 2147483647\r\n", ""},
	{`SSE.PUBLISH /a x EVENT "a\nb"`, "-ERR bad event type: \"a\\nb\" has '\\n' at byte 1, want no line break and no NUL\r\n", ""},
	{`SSE.PUBLISH "" x`, "-ERR bad channel name: it is empty, want 1 to 255 bytes\r\n", ""},
	{`SSE.PUBLISH "a\nb" x`, "-ERR bad channel name: \"a\\nb\" has the control character U+000A at byte 1\r\n", ""},
	{"PUBLISH /a " + strings.Repeat("x", 65537), "-ERR event too large: 65537 bytes, 65581 in a stream, want at most 61440 of either (--max-event-bytes)\r\n", ""},

	{"PUBSUB", "-ERR wrong number of arguments for 'pubsub' command\r\n", ""},
	{"PUBSUB CHANNELS", "*2\r\n$2\r\n/a\r\n$2\r\n/b\r\n", ""},
	{"pubsub channels /[b-z]*", "*1\r\n$2\r\n/b\r\n", ""},
	{"PUBSUB CHANNELS c", "*0\r\n", ""},
	{"PUBSUB CHANNELS a b", "-ERR wrong number of arguments for 'pubsub|channels' command\r\n", ""},
	{"PUBSUB NUMSUB", "*0\r\n", ""},
	{"PUBSUB NUMSUB /none /a", "*4\r\n$5\r\n/none\r\n:0\r\n$2\r\n/a\r\n:2\r\n", ""},
	{"PUBSUB NUMPAT", ":0\r\n", ""},
	{"PUBSUB SHARDCHANNELS", "*0\r\n", ""},
	{"PUBSUB SHARDCHANNELS a b", "-ERR wrong number of arguments for 'pubsub|shardchannels' command\r\n", ""},
	{"PUBSUB SHARDNUMSUB", "*0\r\n", ""},
	{"PUBSUB SHARDNUMSUB /a", "*2\r\n$2\r\n/a\r\n:0\r\n", ""},
	{"PUBSUB NUMSUB __shard:/a", "*2\r\n$10\r\n__shard:/a\r\n:0\r\n", ""},
	{"PUBSUB NONSENSE", "-ERR unknown subcommand 'NONSENSE' of 'pubsub'\r\n", ""},
	{"SUBSCRIBE", "-ERR wrong number of arguments for 'subscribe' command\r\n", ""},
	{"SUBSCRIBE /a", push(":1\r\n", "subscribe", "/a"), push3(":1\r\n", "subscribe", "/a")},
	{"subscribe /a /c /a", push(":1\r\n", "subscribe", "/a") + push(":2\r\n", "subscribe", "/c") + push(":2\r\n", "subscribe", "/a"),
		push3(":1\r\n", "subscribe", "/a") + push3(":2\r\n", "subscribe", "/c") + push3(":2\r\n", "subscribe", "/a")},
	{"SUBSCRIBE /a ''", "-ERR bad channel name: it is empty, want 1 to 255 bytes\r\n", ""},
	{"psubscribe *", push(":1\r\n", "psubscribe", "*"), push3(":1\r\n", "psubscribe", "*")},
	{"PSUBSCRIBE " + strings.Repeat("*", 256), "-ERR pattern \"" + strings.Repeat("*", 32) + "\"... has 256 bytes, want at most 255\r\n", ""},
	{"PSUBSCRIBE" + strings.Repeat(" ?", 65), "-ERR PSUBSCRIBE to more than 64 in one connection\r\n", ""},
	{"SSUBSCRIBE /a\nSUBSCRIBE /c\nSSUBSCRIBE /a /b\nSUNSUBSCRIBE\nSUNSUBSCRIBE /none",
		push(":1\r\n", "ssubscribe", "/a") + push(":1\r\n", "subscribe", "/c") + push(":1\r\n", "ssubscribe", "/a") + push(":2\r\n", "ssubscribe", "/b") +
			push(":1\r\n", "sunsubscribe", "/a") + push(":0\r\n", "sunsubscribe", "/b") + push(":0\r\n", "sunsubscribe", "/none"),
		push3(":1\r\n", "ssubscribe", "/a") + push3(":1\r\n", "subscribe", "/c") + push3(":1\r\n", "ssubscribe", "/a") + push3(":2\r\n", "ssubscribe", "/b") +
			push3(":1\r\n", "sunsubscribe", "/a") + push3(":0\r\n", "sunsubscribe", "/b") + push3(":0\r\n", "sunsubscribe", "/none")},
	{"SSUBSCRIBE /a\nPSUBSCRIBE *\nPUBLISH /a x\nSPUBLISH /a x\nPUBSUB SHARDCHANNELS /*\nPUBSUB CHANNELS _*\nPUBSUB SHARDNUMSUB /a",
		push(":1\r\n", "ssubscribe", "/a") + push(":1\r\n", "psubscribe", "*") + notNow("publish") + notNow("spublish") +
			notNow("pubsub|shardchannels") + notNow("pubsub|channels") + notNow("pubsub|shardnumsub"),
		push3(":1\r\n", "ssubscribe", "/a") + push3(":1\r\n", "psubscribe", "*") + push3("", "pmessage", "*", "/a", "x") + ":3\r\n" +
			push3("", "smessage", "/a", "x") + ":1\r\n*1\r\n$2\r\n/a\r\n*0\r\n*2\r\n$2\r\n/a\r\n:1\r\n"},
	{"SUNSUBSCRIBE", "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n", ">3\r\n$12\r\nsunsubscribe\r\n_\r\n:0\r\n"},
	{"SPUBLISH /a x", ":0\r\n", ""},
	{"SPUBLISH /a", "-ERR wrong number of arguments for 'spublish' command\r\n", ""},
	{"SPUBLISH " + strings.Repeat("x", 248) + " x", "-ERR bad channel name: \"" + strings.Repeat("x", 32) + "\"... has 248 bytes, want at most 247 for a shard channel\r\n", ""},
	{"SSUBSCRIBE ''", "-ERR bad channel name: it is empty, want 1 to 255 bytes\r\n", ""},
	{"SUBSCRIBE __shard:/a", "-ERR bad channel name: \"__shard:/a\" is a shard channel, want SPUBLISH or SSUBSCRIBE and the name without __shard:\r\n", ""},
	{"PUBLISH __shard:/a x", "-ERR bad channel name: \"__shard:/a\" is a shard channel, want SPUBLISH or SSUBSCRIBE and the name without __shard:\r\n", ""},

	{"MULTI\nPUBLISH /a x\nPING\nEXEC", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n+PONG\r\n", ""},
	{"MULTI\nEXEC", "+OK\r\n*0\r\n", ""},
	{"EXEC", "-ERR EXEC without MULTI\r\n", ""},
	{"DISCARD", "-ERR DISCARD without MULTI\r\n", ""},
	{"MULTI\nPUBLISH /a x\nDISCARD\nEXEC", "+OK\r\n+QUEUED\r\n+OK\r\n-ERR EXEC without MULTI\r\n", ""},
	{"MULTI\nMULTI\nWATCH a\nEXEC", "+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n*0\r\n", ""},
	{"MULTI\nSET a b\nPUBLISH /a x\nEXEC\nPING", "+OK\r\n-ERR unknown command 'SET', with args beginning with: 'a' 'b' \r\n+QUEUED\r\n" +
		"-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n", ""},
	{"MULTI\nPUBLISH /a\nEXEC", "+OK\r\n-ERR wrong number of arguments for 'publish' command\r\n-EXECABORT Transaction discarded because of previous errors.\r\n", ""},
	{"MULTI\nSUBSCRIBE /a\nEXEC", "+OK\r\n-ERR 'subscribe' is not allowed in a transaction\r\n-EXECABORT Transaction discarded because of previous errors.\r\n", ""},
	{"MULTI\nPUBLISH '' x\nPUBLISH /a y\nEXEC", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-ERR bad channel name: it is empty, want 1 to 255 bytes\r\n:2\r\n", ""},
	{"MULTI\nPING\nRESET\nEXEC", "+OK\r\n+QUEUED\r\n+RESET\r\n-ERR EXEC without MULTI\r\n", ""},
	{"MULTI" + strings.Repeat("\nPING", 1025) + "\nPING\nEXEC\nPING", "+OK\r\n" + strings.Repeat("+QUEUED\r\n", 1024) +
		"-ERR the transaction is too large: want at most 1024 commands and 983040 bytes, 16 times --max-event-bytes\r\n+QUEUED\r\n" +
		"-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n", ""},
	{"MULTI" + strings.Repeat("\nECHO "+strings.Repeat("x", 61440), 16) + "\nEXEC", "+OK\r\n" + strings.Repeat("+QUEUED\r\n", 15) +
		"-ERR the transaction is too large: want at most 1024 commands and 983040 bytes, 16 times --max-event-bytes\r\n" +
		"-EXECABORT Transaction discarded because of previous errors.\r\n", ""},
	{"WATCH a b\nUNWATCH\nWATCH", "+OK\r\n+OK\r\n-ERR wrong number of arguments for 'watch' command\r\n", ""},

	{"EVAL \"for i = 2, #ARGV do\\n  redis.call('publish', ARGV[i], ARGV[1])\\nend\" 0 x /a /b", "$-1\r\n", "_\r\n"},
	{"EVAL \"\\n\\t for i = 2, #ARGV do redis.call('publish',\\r\\n ARGV[i], ARGV[1]) end \" 1 key x ''", "-ERR bad channel name: it is empty, want 1 to 255 bytes\r\n", ""},
	{"EVAL 'return 1' 0", "-ERR EVAL runs one script only, that of Laravel's broadcaster\r\n", ""},
	{"EVAL x 1\nEVAL x -1\nEVAL x y", "-ERR Number of keys can't be greater than number of args\r\n-ERR Number of keys can't be negative\r\n" +
		"-ERR value is not an integer or out of range\r\n", ""},

	{"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", ""},
	{"DBSIZE\nEXISTS a b", ":0\r\n:0\r\n", ""},
	{"CONFIG GET maxmem* SAVE", "*6\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n$4\r\nsave\r\n$0\r\n\r\n",
		"%3\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n$4\r\nsave\r\n$0\r\n\r\n"},
	{"CONFIG SET save ''", "-ERR unknown subcommand 'SET' of 'config'\r\n", ""},
	{"UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"},
	{"PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n", ">3\r\n$12\r\npunsubscribe\r\n_\r\n:0\r\n"},
	{"UNSUBSCRIBE /a", push(":0\r\n", "unsubscribe", "/a"), push3(":0\r\n", "unsubscribe", "/a")},
	{"SUBSCRIBE /c /a\nPSUBSCRIBE *\nUNSUBSCRIBE\nPUNSUBSCRIBE *\nECHO x",
		push(":1\r\n", "subscribe", "/c") + push(":2\r\n", "subscribe", "/a") + push(":3\r\n", "psubscribe", "*") +
			push(":2\r\n", "unsubscribe", "/a") + push(":1\r\n", "unsubscribe", "/c") + push(":0\r\n", "punsubscribe", "*") + "$1\r\nx\r\n",
		push3(":1\r\n", "subscribe", "/c") + push3(":2\r\n", "subscribe", "/a") + push3(":3\r\n", "psubscribe", "*") +
			push3(":2\r\n", "unsubscribe", "/a") + push3(":1\r\n", "unsubscribe", "/c") + push3(":0\r\n", "punsubscribe", "*") + "$1\r\nx\r\n"},
	{"SUBSCRIBE /c\nPUBLISH /c x", push(":1\r\n", "subscribe", "/c") + notNow("publish"),
		push3(":1\r\n", "subscribe", "/c") + push3("", "message", "/c", "x") + ":1\r\n"},
	{"PSUBSCRIBE /[bc]\nSUBSCRIBE /b\nPUBLISH /b x", push(":1\r\n", "psubscribe", "/[bc]") + push(":2\r\n", "subscribe", "/b") + notNow("publish"),
		push3(":1\r\n", "psubscribe", "/[bc]") + push3(":2\r\n", "subscribe", "/b") +
			push3("", "message", "/b", "x") + push3("", "pmessage", "/[bc]", "/b", "x") + ":3\r\n"},
	{"SUBSCRIBE /c\nPING\nPING hi", push(":1\r\n", "subscribe", "/c") + push("", "pong", "") + push("", "pong", "hi"),
		push3(":1\r\n", "subscribe", "/c") + "+PONG\r\n$2\r\nhi\r\n"},
	{"SUBSCRIBE /c\nPUBSUB NUMSUB /c\nCLIENT ID\nHELLO 3", push(":1\r\n", "subscribe", "/c") + notNow("pubsub|numsub") + notNow("client|id") + notNow("hello"),
		push3(":1\r\n", "subscribe", "/c") + "*2\r\n$2\r\n/c\r\n:1\r\n:7\r\n" + hello(3)},
	{"SUBSCRIBE /c\nSSUBSCRIBE /c\nnonsense\nPING 1 2", push(":1\r\n", "subscribe", "/c") + push(":1\r\n", "ssubscribe", "/c") +
		"-ERR unknown command 'nonsense', with args beginning with: \r\n-ERR wrong number of arguments for 'ping' command\r\n",
		push3(":1\r\n", "subscribe", "/c") + push3(":1\r\n", "ssubscribe", "/c") +
			"-ERR unknown command 'nonsense', with args beginning with: \r\n-ERR wrong number of arguments for 'ping' command\r\n"},
	{"SUBSCRIBE /c\nQUIT\nPING", push(":1\r\n", "subscribe", "/c") + "+OK\r\n", push3(":1\r\n", "subscribe", "/c") + "+OK\r\n"},
	{"SUBSCRIBE /c\nPSUBSCRIBE *\nRESET\nPUBSUB NUMPAT\nPUBLISH /c x",
		push(":1\r\n", "subscribe", "/c") + push(":2\r\n", "psubscribe", "*") + "+RESET\r\n:0\r\n:0\r\n",
		push3(":1\r\n", "subscribe", "/c") + push3(":2\r\n", "psubscribe", "*") + "+RESET\r\n:0\r\n:0\r\n"},

	{"HELLO", hello(2), hello(3)},
	{"HELLO 2", hello(2), ""},
	{"HELLO 3", hello(3), ""},
	{"HELLO 3 AUTH default any SETNAME me", hello(3), ""},
	{"HELLO 4", "-NOPROTO unsupported protocol version\r\n", ""},
	{"HELLO three", "-ERR Protocol version is not an integer or out of range\r\n", ""},
	{"HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'\r\n", ""},
	{"HELLO 3 AUTH other any", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", ""},
	{"HELLO 3 SETNAME 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n", ""},
	{"HELLO 3 NAME x", "-ERR Syntax error in HELLO option 'NAME'\r\n", ""},
	{"AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n", ""},
	{"AUTH default x", "+OK\r\n", ""},
	{"AUTH", "-ERR wrong number of arguments for 'auth' command\r\n", ""},
	{"AUTH a b c", "-ERR syntax error\r\n", ""},
	{"QUIT\nPING", "+OK\r\n", ""},
	{"RESET\nHELLO", "+RESET\r\n" + hello(2), ""},
	{"CLIENT SETNAME me\nRESET\nCLIENT GETNAME", "+OK\r\n+RESET\r\n$-1\r\n", ""},
	{"SELECT 15", "+OK\r\n", ""},
	{"SELECT -1", "-ERR invalid DB index \"-1\"\r\n", ""},
	{"PING", "+PONG\r\n", ""},
	{"PING hi", "$2\r\nhi\r\n", ""},
	{"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n", ""},
	{`ECHO "a\r\nb"`, "$4\r\na\r\nb\r\n", ""},
	{"ECHO", "-ERR wrong number of arguments for 'echo' command\r\n", ""},

	{"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n", ""},
	{"CLIENT ID", ":7\r\n", ""},
	{"CLIENT GETNAME", "$-1\r\n", "_\r\n"},
	{"CLIENT SETNAME me\nclient getname", "+OK\r\n$2\r\nme\r\n", ""},
	{"CLIENT SETNAME me\nCLIENT SETNAME ''\nclient getname", "+OK\r\n+OK\r\n$-1\r\n", "+OK\r\n+OK\r\n_\r\n"},
	{"CLIENT SETNAME 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n", ""},
	{"CLIENT SETNAME " + strings.Repeat("x", 256), "-ERR Client names cannot be longer than 255 bytes, got 256\r\n", ""},
	{"CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n", ""},
	{"CLIENT SETINFO LIB-NAME rb\nCLIENT SETINFO lib-ver 1.2\nCLIENT SETNAME me\nCLIENT INFO",
		"+OK\r\n+OK\r\n+OK\r\n$153\r\nid=7 addr=192.0.2.1:5000 laddr=127.0.0.1:7379 name=me age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 user=default resp=2 lib-name=rb lib-ver=1.2\n\r\n",
		"+OK\r\n+OK\r\n+OK\r\n$153\r\nid=7 addr=192.0.2.1:5000 laddr=127.0.0.1:7379 name=me age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 user=default resp=3 lib-name=rb lib-ver=1.2\n\r\n"},
	{"CLIENT LIST", "$0\r\n\r\n", ""}, // this test's connection is in no list
	{"CLIENT LIST TYPE pubsub\nCLIENT LIST ID 1 2", "$0\r\n\r\n$0\r\n\r\n", ""},
	{"CLIENT LIST TYPE odd\nCLIENT LIST ID x\nCLIENT LIST ID\nCLIENT LIST odd 1", "-ERR Unknown client type 'odd'\r\n-ERR Invalid client ID\r\n-ERR syntax error\r\n-ERR syntax error\r\n", ""},
	{"CLIENT KILL 192.0.2.7:1\nCLIENT KILL ID 9\nCLIENT KILL TYPE normal SKIPME no", "-ERR No such client\r\n:0\r\n:0\r\n", ""},
	{"CLIENT KILL ID 0\nCLIENT KILL ID 1 TYPE\nCLIENT KILL ID 1 SKIPME maybe\nCLIENT KILL NAME x", "-ERR Invalid client ID\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR syntax error\r\n", ""},
	{"CLIENT SETINFO lib-name 'a\tb'", "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n", ""},
	{"CLIENT SETINFO lib x", "-ERR Unrecognized option 'lib'\r\n", ""},
	{"CLIENT REPLY ON", "+OK\r\n", ""},
	{"CLIENT REPLY OFF", "-ERR CLIENT REPLY \"OFF\" is not supported: every command is answered\r\n", ""},
	{"CLIENT NO-EVICT on", "+OK\r\n", ""},
	{"CLIENT NO-TOUCH OFF", "+OK\r\n", ""},
	{"CLIENT NO-TOUCH maybe", "-ERR syntax error\r\n", ""},
	{"CLIENT MAINT_NOTIFICATIONS on", "-ERR unknown subcommand 'MAINT_NOTIFICATIONS' of 'client'\r\n", ""},
	{"CLIENT|ID", "-ERR unknown command 'CLIENT|ID', with args beginning with: \r\n", ""},

	{"COMMAND", "*0\r\n", ""},
	{"COMMAND DOCS", "*0\r\n", "%0\r\n"},
	{"COMMAND COUNT", ":0\r\n", ""},
	{"COMMAND INFO get", "*0\r\n", ""},
	{"COMMAND LIST", "*0\r\n", ""},
	{"COMMAND GETKEYS", "-ERR unknown subcommand 'GETKEYS' of 'command'\r\n", ""},
	{"INFO persistence REPLICATION ops",
		"$94\r\n# Persistence\r\nloading:0\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n# Ops\r\nops:off\r\n\r\n", ""},
	{"SSE.CONNECTIONS", "$88\r\naddr=192.0.2.9:1 channels=/a,/b%20c loop=0 behind=20 lapped=1 seconds=1.500 protocol=h2\n\r\n", ""},
	{"sse.connections slow 3", "$87\r\naddr=192.0.2.9:1 channels=/a,/b%20c loop=0 behind=3 lapped=1 seconds=1.500 protocol=h2\n\r\n", ""},
	{"SSE.CONNECTIONS SLOW 1001", "-ERR SSE.CONNECTIONS [\"SLOW\" \"1001\"]: want SLOW and a number, 0 to 1000\r\n", ""},
	{"SSE.CONNECTIONS all", "-ERR SSE.CONNECTIONS [\"all\"]: want SLOW and a number, 0 to 1000\r\n", ""},
	{"SSE.CONNECTIONS SLOW 0", "-ERR event loop 1 does not turn\r\n", ""},
	{"INFO keyspace", "$0\r\n\r\n", ""},

	{"GET a 'b\nc", "-ERR Protocol error: unbalanced quotes in request\r\n", ""},
	{"GET a 'b c'", "-ERR unknown command 'GET', with args beginning with: 'a' 'b c' \r\n", ""},
	{"'a\r\n", "-ERR Protocol error: the connection begins with '\\'', want a letter or '*'\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
	{"PING\r\n'a\r\n", "+PONG\r\n-ERR Protocol error: unbalanced quotes in request\r\n", ""},
	{"PING\n" + `"a\r\n+OK" "\r\n"`, "+PONG\r\n-ERR unknown command 'a  +OK', with args beginning with: '  ' \r\n", ""},
	{"PING\n''", "+PONG\r\n-ERR unknown command '', with args beginning with: \r\n", ""},
	{strings.Repeat("x", 200) + " " + strings.Repeat("y", 100) + strings.Repeat(" "+strings.Repeat("z", 100), 3),
		"-ERR unknown command '" + strings.Repeat("x", 128) + "', with args beginning with: '" + strings.Repeat("y", 100) + "' '" + strings.Repeat("z", 25) + "' \r\n", ""},
	{"SSE.TICKET /a", "$35\r\nticket of [/a] for \"\", 0s, until 0s\r\n", ""},
	{"sse.ticket ex 30 user u until 3600 /a chat:1", "$48\r\nticket of [/a chat:1] for \"u\", 30s, until 1h0m0s\r\n", ""},
	{"SSE.TICKET USER ex EX 1 user", "$39\r\nticket of [user] for \"ex\", 1s, until 0s\r\n", ""},
	{"SSE.TICKET", "-ERR wrong number of arguments for 'sse.ticket' command\r\n", ""},
	{"SSE.TICKET EX 30", "-ERR bad ticket: for 0 channels, want 1 to 64: " + ticketUsage, ""},
	{"SSE.TICKET EX 0 /a", "-ERR EX \"0\" is not seconds, 1 to 3600: " + ticketUsage, ""},
	{"SSE.TICKET EX soon /a", "-ERR EX \"soon\" is not seconds, 1 to 3600: " + ticketUsage, ""},
	{"SSE.TICKET UNTIL 2592001 /a", "-ERR UNTIL \"2592001\" is not seconds, 1 to 2592000: " + ticketUsage, ""},
	{"SSE.TICKET USER '' /a", "-ERR bad name of a user: it is empty, want 1 to 255 bytes: " + ticketUsage, ""},
	{"SSE.KICK USER u", ":86400\r\n", ""},
	{"sse.kick user u for 60 final", ":-60\r\n", ""},
	{"SSE.KICK USER u FINAL FOR 0", ":0\r\n", ""},
	{"SSE.KICK CHANNEL /a", ":3\r\n", ""},
	{"SSE.KICK CHANNEL /a USER u", ":4\r\n", ""},
	{"SSE.KICK USER nobody", "-ERR other nodes may not know\r\n", ""},
	{"SSE.KICK", "-ERR wrong number of arguments for 'sse.kick' command\r\n", ""},
	{"SSE.KICK USER", "-ERR wrong number of arguments for 'sse.kick|user' command\r\n", ""},
	{"SSE.KICK u", "-ERR unknown subcommand 'u' of 'sse.kick'\r\n", ""},
	{"SSE.KICK ALL x", "-ERR unknown subcommand 'ALL' of 'sse.kick'\r\n", ""},
	{"SSE.KICK USER u FOR", "-ERR option \"FOR\": want SSE.KICK USER name [FOR seconds] [FINAL]\r\n", ""},
	{"SSE.KICK USER u FOR 31536001", "-ERR FOR \"31536001\" is not seconds, 1 to 31536000: want SSE.KICK USER name [FOR seconds] [FINAL]\r\n", ""},
	{"SSE.KICK USER u NOW", "-ERR option \"NOW\": want SSE.KICK USER name [FOR seconds] [FINAL]\r\n", ""},
	{"SSE.KICK CHANNEL /a USER", "-ERR options [\"USER\"]: want SSE.KICK CHANNEL channel [USER name]\r\n", ""},
	{"SSE.KICK CHANNEL /a USER ''", "-ERR options [\"USER\" \"\"]: want SSE.KICK CHANNEL channel [USER name]\r\n", ""},
	{"MULTI\nSSE.KICK USER u\nEXEC", "+OK\r\n+QUEUED\r\n*1\r\n:86400\r\n", ""},
	{"PUBLISH __millrace:control x", controlRefused, ""},
	{"SUBSCRIBE __millrace:control", controlRefused, ""},
	{"\r\n\n\nPING", "+PONG\r\n", ""},
	{"*1\r\n$-5\r\nPING", "-ERR Protocol error: invalid bulk length \"-5\": want 0 to 126976\r\n", ""},
}

const (
	ticketUsage    = "want SSE.TICKET [EX seconds] [USER name] [UNTIL seconds] channel [channel ...]\r\n"
	controlRefused = "-ERR bad channel name: nodes talk to each other on \"__millrace:control\"\r\n"
)

func hello(v resp.Version) string {
	head := "*14\r\n"
	if v == resp.RESP3 {
		head = "%7\r\n"
	}
	return head + "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n" + fmt.Sprintf("$5\r\nproto\r\n:%d\r\n", v) +
		"$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
}

// testBroker is a real one with two subscribers of /a and one of /b.
func testBroker() channels.Ports {
	b := channels.NewBroker(channels.Options{})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"), []byte("/b"))
	in.Attach(nil, []byte("/a"))
	return b.Ports()
}

// converse runs a connection over input, given in pieces of so many bytes, and
// returns all that it answers.
func converse(t testing.TB, cfg Config, input string, chunk int) string {
	t.Helper()
	s, err := New(newPipes(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.guesses.Delay = 1
	nc := &scripted{input: []byte(input), chunk: chunk}
	newConn(s, nc, 7).serve()
	if !nc.closed {
		t.Errorf("%.200q: not closed", input)
	}
	return nc.output.String()
}

// slowStreams have a slow reader, or with none asked for a loop that hangs.
type slowStreams struct{}

func (slowStreams) Stats() server.Stats { return server.Stats{} }

func (slowStreams) SlowReaders(_ context.Context, n int) ([]server.SlowReader, error) {
	if n == 0 {
		return nil, errors.New("event loop 1 does not turn")
	}
	return []server.SlowReader{{Address: "192.0.2.9:1", Protocol: "h2", Channels: []string{"/a", "/b c"}, Missing: n, Lapped: true, Behind: 1500 * time.Millisecond}}, nil
}

func TestReplies(t *testing.T) {
	cfg := Config{Broker: testBroker(), Streams: slowStreams{}, Control: controlled{}}
	for _, tt := range replyTable {
		for _, chunk := range []int{bufferSize, 1} {
			if got := converse(t, cfg, tt.request+"\r\n", chunk); got != tt.want {
				t.Errorf("%.200q in RESP2, %d bytes at a time\n got %q\nwant %q", tt.request, chunk, got, tt.want)
			}
		}
		if tt.want3 == "" {
			tt.want3 = tt.want
		}
		if got := converse(t, cfg, "HELLO 3\r\n"+tt.request+"\r\n", bufferSize); got != hello(3)+tt.want3 {
			t.Errorf("%.200q in RESP3\n got %q\nwant %q", tt.request, strings.TrimPrefix(got, hello(3)), tt.want3)
		}
	}
}

// Ensure that every command can be found and does something.
func TestCommandTable(t *testing.T) {
	check := func(name string, cmd command) {
		if name != strings.ToLower(name) || len(name) >= maxCommandName {
			t.Errorf("%q is not in lower case, or has %d bytes or more", name, maxCommandName)
		}
		if cmd.arity == 0 || cmd.run == nil && (cmd.subcommands == nil || cmd.arity != -2) {
			t.Errorf("%q has arity %d and nothing to run", name, cmd.arity)
		}
	}
	for name, cmd := range commands {
		check(name, cmd)
		for name, sub := range cmd.subcommands {
			check(name, sub)
			if sub.run == nil || sub.arity > -2 && sub.arity < 2 {
				t.Errorf("subcommand %q has arity %d", name, sub.arity)
			}
		}
	}
}

// Ensure that the payload of an inline PUBLISH is the rest of the line, and
// that options reach the event.
func TestPublished(t *testing.T) {
	for _, tt := range []struct{ request, want string }{
		{`PUBLISH /sse/test {"foo": "bar"}`, `/sse/test "{\"foo\": \"bar\"}"`},
		{`PUBLISH "/a b"  it's  fine `, `/a b "it's  fine "`},
		{`SSE.PUBLISH /a "{\"foo\": 1}"`, `/a "{\"foo\": 1}"`},
		{`SSE.PUBLISH /a x RETRY 1500 EVENT news`, `/a "x" "news" 1.5s`},
		{"*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$4\r\n\"\r\n\x00", `/a "\"\r\n\x00"`},
	} {
		broker := &recorder{}
		converse(t, Config{Broker: broker}, tt.request+"\r\n", bufferSize)
		if got := broker.take(); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%q published %q, want %q", tt.request, got, tt.want)
		}
	}
}

func TestInfo(t *testing.T) {
	s := serve(t, Config{Broker: testBroker(), Streams: slowStreams{}, Version: "1.2.3", MaxClients: 5})
	got := ask(t, s, "INFO\nINFO all\ninfo server Everything\n")
	for _, want := range []string{"# Server\r\nredis_version:7.2.0\r\n", "redis_mode:standalone\r\n", "role:master\r\n",
		"millrace_version:1.2.3\r\n", "connected_clients:1\r\n", "maxclients:5\r\n", "loading:0\r\n",
		"tcp_port:" + fmt.Sprint(s.Addr())[len("127.0.0.1:"):] + "\r\n",
		"total_connections_received:1\r\n", "\r\n\r\n# Millrace\r\nconnections:0\r\n"} {
		if n := strings.Count(got, want); n != 3 {
			t.Errorf("%q is %d times in three answers, %q", want, n, got)
		}
	}
}

const (
	noAuth    = "-NOAUTH Authentication required.\r\n"
	wrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
)

func TestAuth(t *testing.T) {
	cfg := Config{Broker: &recorder{}, Password: "secret"}
	for _, tt := range []struct{ request, want string }{
		{"PING", noAuth},
		{"PUBLISH /a x", noAuth},
		{"nonsense", noAuth},
		{"CLIENT ID", noAuth},
		{"RESET", noAuth},
		{"HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> " +
			"<pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n"},
		{"QUIT", "+OK\r\n"},
		{"AUTH wrong\nPING", wrongPass + noAuth},
		{"AUTH ''\nPING", wrongPass + noAuth},
		{"AUTH other secret\nPING", wrongPass + noAuth},
		{"AUTH secret\nPING", "+OK\r\n+PONG\r\n"},
		{"AUTH default secret\nPING", "+OK\r\n+PONG\r\n"},
		{"AUTH secret\nAUTH wrong\nPING", "+OK\r\n" + wrongPass + "+PONG\r\n"},
		{"AUTH secret\nRESET\nPING", "+OK\r\n+RESET\r\n" + noAuth},
		{"HELLO 3 AUTH default secret SETNAME me\nCLIENT GETNAME", hello(3) + "$2\r\nme\r\n"},
		{"HELLO 3 AUTH default wrong\nPING", wrongPass + noAuth},
		{"HELLO 4 AUTH default secret\nPING", "-NOPROTO unsupported protocol version\r\n" + noAuth},
		{strings.Repeat("AUTH wrong\n", maxAuthFailures) + "AUTH secret", strings.Repeat(wrongPass, maxAuthFailures)},

		{"*11\r\n", "-ERR Protocol error: invalid multibulk length \"11\": want 0 to 10\r\n"},
		{"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "-ERR Protocol error: invalid bulk length \"16385\": want 0 to 16384\r\n"},
		{"*1\r\n$9223372036854775807\r\nabc", "-ERR Protocol error: invalid bulk length \"9223372036854775807\": want 0 to 16384\r\n"},
		{strings.Repeat("x", 64<<10), "-ERR Protocol error: too big inline request: at most 65536 bytes\r\n"},
		{"AUTH secret\nECHO " + strings.Repeat("x", 64<<10), "+OK\r\n$65536\r\n" + strings.Repeat("x", 64<<10) + "\r\n"},
		{"AUTH secret\n*4\r\n$4\r\nECHO\r\n$16385\r\n", "+OK\r\n"},
	} {
		for _, chunk := range []int{bufferSize, 1} {
			if got := converse(t, cfg, tt.request+"\r\n", chunk); got != tt.want {
				t.Errorf("%.200q, %d bytes at a time\n got %.300q\nwant %.300q", tt.request, chunk, got, tt.want)
			}
		}
	}
}

// Ensure that a client which gives no password does not take up a place for
// ever, and that one which has given it may.
func TestAuthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		member, stranger := ln.dial(), ln.dial()
		defer member.Close()
		exchange(t, member, "AUTH secret\n", "+OK\r\n")
		exchange(t, stranger, "PING\n", noAuth)
		began := time.Now()
		if n, err := stranger.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d bytes, %v, want the end", n, err)
		}
		if took := time.Since(began); took != authTimeout {
			t.Errorf("cut off after %v, want %v", took, authTimeout)
		}
		time.Sleep(24 * time.Hour)
		exchange(t, member, "PING\n", "+PONG\r\n")
	})
}

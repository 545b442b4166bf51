package handover

var exampleAdmin = Admin{
	Age: 3e12, Accepted: 900, Rejected: 1, Displaced: 2, Commands: 1e6, Dropped: 3, WrongPasswords: 4, Ended: 5, Staying: 6,
	Connections: []AdminConnection{
		{
			ID: 17, Age: 5e9, Idle: 1e6, AuthLeft: 9e9, Cookie: 1 << 33, Flags: AdminOpened | AdminSubscribed, RESP: 3, Failures: 2,
			Name: "worker-1", Library: "redis-py", LibraryVersion: "5.0",
			Channels: []string{"/a", "/b"}, Globs: []string{"/rooms/*"}, Shards: []string{"s"},
			Waiting: AdminBytes{[]byte("*3\r\n$7\r\nPUB"), []byte("*1\r\n$4\r\nPING\r\n"), []byte("+OK\r\n")},
		},
		{ID: 18, Age: 1, Cookie: 6, RESP: 2, Late: true},
	},
}

package handover

var exampleBeside = Beside{
	Arrivals:   Arrivals{1_000_000_000, 2_000_000_000},
	Addresses:  []AddressRate{{0xffff_0a00_0001, 3_000_000_000}, {0x2001_0db8_0000_0001, 4}},
	Kicks:      []Kick{{"", 5, 6, 0}, {"mia", 7, 8, 9}},
	SpentFloor: 10,
	Spent: []SpentTickets{
		{1, 11, 12, 13, []SpentFamily{{[16]byte{14, 15}, 16}, {[16]byte{17}, 18}}},
		{2, 19, 20, 21, nil},
	},
	TicketKey:   []byte("a key of 32 bytes, drawn at rand"),
	SessionKeys: []SessionKey{{[32]byte{22, 23}, 24}},
	Counters: []Counter{
		{"connections_closed_total", []string{"client_closed"}, 25},
		{"streams_opened_total", nil, 26},
	},
	Times: []Times{{"fanout_seconds", []uint64{27, 0, 28}, 29}},
}

var exampleEngine = Engine{
	Heard: []string{"/news", "/größe"},
	More:  true,
	Fence: "K7LQ5XJ3ZC2M4A6B",
	Exact: true,
	Table: Table{true, 30, []Span{{31, 32, 33, 34}}, []Row{{35, -36, 37}}},
}

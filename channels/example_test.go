package channels_test

import (
	"fmt"

	"millrace/channels"
)

// A loop attaches its subscribers, and takes what was published when it is
// woken.
func ExampleBroker() {
	broker := channels.NewBroker(channels.Options{History: 10, Epoch: "7f"})
	inbox := broker.NewInbox(func() { fmt.Println("wake the loop") })
	chans, cursor := inbox.Attach(nil, []byte("/rooms/42"))

	receipt, err := broker.Publish("/rooms/42", channels.Event{Data: []byte("hello\nworld")})
	fmt.Println(receipt.Receivers, broker.ID(receipt), err)
	receipt, err = broker.Publish("/rooms/42", channels.Event{Type: "bye", Data: []byte("{}")})
	fmt.Println(receipt.Receivers, broker.ID(receipt), err)

	messages := inbox.Take(nil)
	for _, m := range messages {
		fmt.Printf("%s %q\n", m.Channel.Name(), m.Wire)
	}
	inbox.Served(messages) // makes room for publishers

	// A subscriber whose socket was full reads on from its cursor.
	missed, kept := inbox.CatchUp(nil, cursor+1, channels.Told{}, 64<<10, chans...)
	fmt.Println(len(missed), kept)

	inbox.Detach(chans...)
	// Output:
	// wake the loop
	// 1 7f-1 <nil>
	// 1 7f-2 <nil>
	// /rooms/42 "data: hello\ndata: world\nid: 7f-1\n\n"
	// /rooms/42 "event: bye\ndata: {}\nid: 7f-2\n\n"
	// 1 true
}

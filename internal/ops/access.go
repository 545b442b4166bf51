package ops

import (
	"millrace/internal/auth/application"
	"millrace/internal/auth/ticket"
	"millrace/internal/auth/token"
	"millrace/internal/control"
)

// The metrics of kicks and tickets, and those of tokens and of the application's word, which
// are there if these are among the means.
var (
	kicksDone      = desc("kicks_total", "Kicks that this node was asked for or told of.")
	kickedStreams  = desc("kicked_streams_total", "Event streams that kicks have ended.")
	kickedUsers    = desc("kicked_users", "Users of whom nothing counts that was issued before their kick.")
	kicksFolded    = desc("kicks_folded_total", "Kicks that hold for everybody, for want of room.")
	controlDropped = desc("control_dropped_total", "Kicks of other nodes, and tickets that other nodes were to know of, that were dropped.")

	ticketsIssued    = desc("tickets_issued_total", "Tickets issued at this node.")
	ticketsKnown     = desc("tickets_known", "Tickets of which it is remembered that they were opened.")
	ticketsForgotten = desc("tickets_forgotten_total", "Tickets that were forgotten for want of room: their pages ask for new ones.")

	tokenKeys     = desc("token_keys", "Keys of tokens that count now.")
	tokenFetches  = desc("token_key_fetches_total", "Fetches of a key set from its URL, by what came of them: done or failed.", "result")
	tokenStrange  = desc("token_strange_grants_total", "Grants in tokens of a form that is not known here: they grant nothing.")
	tokensWaiting = desc("tokens_waiting", "Tokens that wait to be verified.")

	applicationRequests = desc("application_requests_total", "Questions to the application who may listen, by what came of them.", "result")
	applicationKept     = desc("application_answers_reused_total", "Answers of the application that were known already.")
	applicationJoined   = desc("application_answers_shared_total", "Answers of the application that another stream was waiting for.")
	applicationOverflow = desc("application_overflow_total", "Streams told to come back because too many wait for the application.")
	applicationAnswers  = desc("application_answers", "Answers of the application that are kept.")
	applicationWaiting  = desc("application_waiting", "Questions that wait to be asked.")
	applicationAsking   = desc("application_asking", "Requests to the application under way.")
)

func collectControl(n control.Stats, gauge, counter collect) {
	counter(kicksDone, float64(n.Kicks))
	counter(kickedStreams, float64(n.Ended))
	gauge(kickedUsers, float64(n.Kicked.Users))
	counter(kicksFolded, float64(n.Kicked.Folded))
	counter(controlDropped, float64(n.Dropped))
}

func collectTickets(n ticket.Stats, gauge, counter collect) {
	counter(ticketsIssued, float64(n.Issued))
	gauge(ticketsKnown, float64(n.Known))
	counter(ticketsForgotten, float64(n.Forgotten))
}

func collectTokens(n token.Stats, gauge, counter collect) {
	gauge(tokenKeys, float64(n.Keys))
	counter(tokenFetches, float64(n.Fetches-n.Failed), "done")
	counter(tokenFetches, float64(n.Failed), "failed")
	counter(tokenStrange, float64(n.Strange))
	gauge(tokensWaiting, float64(n.Waiting))
}

func collectApplication(n application.Stats, gauge, counter collect) {
	for _, r := range n.Results {
		counter(applicationRequests, float64(r.Count), r.Label)
	}
	counter(applicationKept, float64(n.Kept))
	counter(applicationJoined, float64(n.Joined))
	counter(applicationOverflow, float64(n.Overflow))
	gauge(applicationAnswers, float64(n.Answers))
	gauge(applicationWaiting, float64(n.Waiting))
	gauge(applicationAsking, float64(n.Asking))
}

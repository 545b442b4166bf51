package ops

import (
	"net/http"
	"strings"

	"millrace/channels"
)

const (
	// channelsInPage is how many channels a page has unless limit says otherwise, and
	// maxPage the most that it may have.
	channelsInPage = 100
	maxPage        = 1000
)

// channelInfo is a channel in an answer.
type channelInfo struct {
	Name        string `json:"name"`
	Subscribers int    `json:"subscribers"`
	Published   uint64 `json:"published"`
	Head        string `json:"head,omitempty"`
	History     int    `json:"history"`
	Bytes       int    `json:"bytes"`
}

func (s *Server) describe(i channels.Info) channelInfo {
	head := s.cfg.Broker.ID(channels.Receipt{Seq: i.Head, Epoch: i.Epoch})
	return channelInfo{i.Name, i.Subscribers, i.Published, head, i.History, i.Bytes}
}

// listChannels answers GET /channels?prefix=&cursor=&limit= with one page, in
// the order of names. The cursor of a page is the name after which the next one
// begins; the last page has none. Channels that come and go meanwhile do not
// make others appear twice or be missed.
func (s *Server) listChannels(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "prefix", "cursor", "limit")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	limit, err := number(q, "limit", channelsInPage, maxPage)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	page := struct {
		Channels []channelInfo `json:"channels"`
		Cursor   string        `json:"cursor,omitempty"`
	}{Channels: []channelInfo{}}
	infos := s.cfg.Broker.Ports().Page(nil, q.Get("prefix"), q.Get("cursor"), limit+1) // one more tells whether there is more
	for i, info := range infos[:min(limit, len(infos))] {
		page.Channels = append(page.Channels, s.describe(info))
		if i == limit-1 && len(infos) > limit {
			page.Cursor = info.Name
		}
	}
	reply(w, http.StatusOK, page)
}

// namePrefix is the part of a path before a channel's name.
const namePrefix = "/channels/"

// showChannel answers GET /channels/{name}. The name is the rest of the path,
// escaped or not: /channels//rooms/42 is /rooms/42.
func (s *Server) showChannel(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		onlyGet(w, r)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, namePrefix)
	if err := channels.CheckName([]byte(name)); err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	info, ok := s.cfg.Broker.Ports().Lookup(name)
	if !ok {
		fail(w, http.StatusNotFound, "no channel %q: it has no subscribers, and keeps no messages", name)
		return
	}
	reply(w, http.StatusOK, s.describe(info))
}

package coordinator

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/transport"
)

// requestMetrics counts what clients ask for. What is needed for every request
// is looked up once.
type requestMetrics struct {
	requests    *prometheus.CounterVec
	latency     *prometheus.HistogramVec
	fine        [methods]prometheus.Counter // with the code OK
	byMethod    [methods]prometheus.Observer
	cutOff      prometheus.Counter
	lagging     prometheus.Counter
	panics      prometheus.Counter
	malformed   prometheus.Counter
	watchEvents prometheus.Counter
}

func newRequestMetrics() *requestMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &requestMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "conch_requests_total", Help: "Requests answered, by method and code.",
		}, []string{"method", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "conch_request_seconds", Help: "From reading a request to its answer, by method.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
		}, []string{"method"}),
		cutOff:      counter("conch_streams_cut_off_total", "Streams ended because their client did not read."),
		lagging:     counter("conch_watches_lagging_total", "Watches ended because their client did not read fast enough."),
		panics:      counter("conch_panics_total", "Calls ended by a defect of the server."),
		malformed:   counter("conch_connections_malformed_total", "Connections closed because their client broke the protocol."),
		watchEvents: counter("conch_watch_events_total", "Events sent to watchers."),
	}
	for i := range methods {
		m.byMethod[i] = m.latency.WithLabelValues(i.String())
		m.fine[i] = m.requests.WithLabelValues(i.String(), api.Code_OK.String())
	}
	return m
}

// observe counts an answer.
func (m *requestMetrics) observe(method method, code api.Code, began time.Time) {
	if code == api.Code_OK {
		m.fine[method].Inc()
	} else {
		m.requests.WithLabelValues(method.String(), code.String()).Inc()
	}
	m.byMethod[method].Observe(time.Since(began).Seconds())
}

func (m *requestMetrics) register(r *prometheus.Registry) {
	r.MustRegister(m.requests, m.latency, m.cutOff, m.lagging, m.panics, m.malformed, m.watchEvents)
}

// serverMetrics is everything that GET /metrics shows.
type serverMetrics struct {
	registry *prometheus.Registry
	requests *requestMetrics
	fsync    prometheus.Histogram
}

func newServerMetrics() *serverMetrics {
	m := &serverMetrics{
		registry: prometheus.NewRegistry(),
		requests: newRequestMetrics(),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "conch_fsync_seconds", Help: "Duration of the fsyncs of the log and of snapshots.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
		}),
	}
	m.requests.register(m.registry)
	m.registry.MustRegister(m.fsync, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *serverMetrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// collector reads what changes all the time at the moment it is asked for.
type collector struct {
	server *Server
	descs  map[string]*prometheus.Desc
}

// gauges are the collector's metrics: name, help, labels.
var gauges = []struct {
	name, help string
	labels     []string
}{
	{"conch_raft_role", "1 for the role that the node has in its cell.", []string{"role"}},
	{"conch_raft_term", "The consensus' term.", nil},
	{"conch_raft_commit_index", "The newest entry known to be committed.", nil},
	{"conch_raft_applied_index", "The newest entry applied.", nil},
	{"conch_raft_last_index", "The newest entry in the log.", nil},
	{"conch_raft_snapshot_index", "The entry of the newest snapshot.", nil},
	{"conch_raft_has_leader", "1 while the node knows a leader.", nil},
	{"conch_raft_reads_waiting", "Linearizable reads that wait for a confirmation.", nil},
	{"conch_raft_refused_total", "Messages of peers that were refused.", nil},
	{"conch_raft_late_turns_total", "Turns of the loop that came later than an election takes.", nil},
	{"conch_raft_proposals_total", "Entries that this node proposed.", nil},
	{"conch_wal_frames_total", "Frames written to the log.", nil},
	{"conch_wal_bytes", "Bytes of the log on disk.", nil},
	{"conch_wal_segments", "Files of the log.", nil},
	{"conch_wal_syncs_total", "Fsyncs of the log.", nil},
	{"conch_wal_written_bytes_total", "Bytes written to the log.", nil},
	{"conch_sessions", "Sessions of the cell.", nil},
	{"conch_locks", "Locks that somebody holds.", nil},
	{"conch_waiters", "Claims of locks that wait.", nil},
	{"conch_elections", "Elections that somebody leads.", nil},
	{"conch_candidates", "Candidates that wait to lead.", nil},
	{"conch_revision", "The cell's revision.", nil},
	{"conch_compacted_revision", "The oldest revision kept.", nil},
	{"conch_state_bytes", "Size of the state.", nil},
	{"conch_quota_bytes", "Size from which on what grows the state is refused.", nil},
	{"conch_malformed_commands_total", "Commands in the log that could not be read.", nil},
	{"conch_streams", "Streams of clients.", nil},
	{"conch_sessions_attached", "Sessions attached to streams of this node.", nil},
	{"conch_watches", "Watches on this node.", nil},
	{"conch_events_pushed_total", "Events told to sessions.", nil},
	{"conch_requests_pending", "Commands of this node's clients that await being applied.", nil},
	{"conch_requests_in_flight", "Requests that await their answer.", nil},
	{"conch_requests_in_flight_bytes", "Bytes of the requests that await their answer.", nil},
	{"conch_inbox_items", "Requests that wait for the loop.", nil},
	{"conch_outbox_bytes", "Bytes that wait to be written to clients.", nil},
	{"conch_connections", "Connections to the client port.", nil},
	{"conch_connections_accepted_total", "Connections taken by the client port.", nil},
	{"conch_connections_limited_total", "Connections closed because there were too many.", nil},
	{"conch_connections_crowded_out_total", "Connections closed because too much of unfinished messages was kept.", nil},
	{"conch_accept_failures_total", "Failures to take a connection.", nil},
	{"conch_client_received_bytes_total", "Bytes received from clients.", nil},
	{"conch_client_sent_bytes_total", "Bytes sent to clients.", nil},
	{"conch_log_lines_dropped_total", "Lines of the log for which there was no room.", nil},
	{"conch_peer_connected", "1 while the connection to the peer is ready.", []string{"peer"}},
	{"conch_peer_round_trip_seconds", "Round trip to the peer.", []string{"peer"}},
	{"conch_peer_queued_bytes", "Bytes that wait to be sent to the peer.", []string{"peer"}},
	{"conch_peer_sent_bytes_total", "Bytes sent to the peer.", []string{"peer"}},
	{"conch_peer_received_bytes_total", "Bytes received from the peer.", []string{"peer"}},
	{"conch_peer_sent_messages_total", "Messages sent to the peer.", []string{"peer"}},
	{"conch_peer_dropped_messages_total", "Messages to the peer that were dropped.", []string{"peer"}},
	{"conch_peer_flushes_total", "Batches written to the peer.", []string{"peer"}},
	{"conch_peer_connects_total", "Connections made to the peer.", []string{"peer"}},
}

func newCollector(s *Server) *collector {
	c := &collector{server: s, descs: map[string]*prometheus.Desc{}}
	for _, g := range gauges {
		c.descs[g.name] = prometheus.NewDesc(g.name, g.help, g.labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- c.descs[g.name]
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.server
	put := func(name string, v float64, labels ...string) {
		kind := prometheus.GaugeValue
		if len(name) > 6 && name[len(name)-6:] == "_total" {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(c.descs[name], kind, v, labels...)
	}
	c.raft(put)
	c.loop(put)
	l := s.listener
	put("conch_connections", float64(l.connections()))
	put("conch_connections_accepted_total", float64(l.accepted.Load()))
	put("conch_connections_limited_total", float64(l.limited.Load()))
	put("conch_connections_crowded_out_total", float64(l.intake.closed.Load()))
	put("conch_accept_failures_total", float64(l.failed.Load()))
	put("conch_client_received_bytes_total", float64(l.in.Load()))
	put("conch_client_sent_bytes_total", float64(l.out.Load()))
	put("conch_log_lines_dropped_total", float64(s.logs.dropped.Load()))
	for _, p := range s.transport.Stats().Peers {
		c.peer(put, p)
	}
}

type putFunc func(name string, v float64, labels ...string)

func (c *collector) raft(put putFunc) {
	st := c.server.group.Status()
	for _, role := range []raftnode.Role{raftnode.Follower, raftnode.Candidate, raftnode.Leader, raftnode.Learner} {
		put("conch_raft_role", oneIf(role == st.Role), role.String())
	}
	put("conch_raft_term", float64(st.Term))
	put("conch_raft_commit_index", float64(st.Commit))
	put("conch_raft_applied_index", float64(st.Applied))
	put("conch_raft_last_index", float64(st.Last))
	put("conch_raft_snapshot_index", float64(st.Snapshot))
	put("conch_raft_has_leader", oneIf(st.Leader != 0))
	put("conch_raft_reads_waiting", float64(st.Reads))
	put("conch_raft_refused_total", float64(st.Refused))
	put("conch_raft_late_turns_total", float64(st.Late))
	put("conch_wal_frames_total", float64(st.Log.Frames))
	put("conch_wal_bytes", float64(st.Log.Bytes))
	put("conch_wal_segments", float64(st.Log.Segments))
	put("conch_wal_syncs_total", float64(st.Log.Syncs))
	put("conch_wal_written_bytes_total", float64(st.Log.Written))
}

// loop asks the loop for what belongs to it; when it does not answer within a
// second, that part is missing.
func (c *collector) loop(put putFunc) {
	type picture struct {
		name  string
		value float64
	}
	l := c.server.loop
	result := make(chan []picture, 1)
	err := c.server.group.Do(func() {
		m := l.machine()
		out := 0
		for st := range l.streams {
			out += st.out.waiting()
		}
		result <- []picture{
			{"conch_sessions", float64(m.Sessions().Len())},
			{"conch_locks", float64(m.Locks().Locked())},
			{"conch_waiters", float64(m.Locks().Waiting())},
			{"conch_elections", float64(m.Elections().Led())},
			{"conch_candidates", float64(m.Elections().Waiting())},
			{"conch_revision", float64(m.Store().Revision())},
			{"conch_compacted_revision", float64(m.Store().Compacted())},
			{"conch_state_bytes", float64(m.Store().Bytes())},
			{"conch_malformed_commands_total", float64(m.Malformed())},
			{"conch_streams", float64(len(l.streams))},
			{"conch_sessions_attached", float64(len(l.attached))},
			{"conch_watches", float64(l.watches.count)},
			{"conch_events_pushed_total", float64(l.pushed)},
			{"conch_requests_pending", float64(l.cell.Pending())},
			{"conch_outbox_bytes", float64(out)},
			{"conch_raft_proposals_total", float64(l.proposed)},
		}
	})
	if err == nil {
		select {
		case list := <-result:
			for _, p := range list {
				put(p.name, p.value)
			}
		case <-time.After(time.Second):
		}
	}
	l.inbox.mu.Lock()
	items := len(l.inbox.items)
	l.inbox.mu.Unlock()
	put("conch_inbox_items", float64(items))
	put("conch_requests_in_flight", float64(l.load.calls.Load()))
	put("conch_requests_in_flight_bytes", float64(l.load.bytes.Load()))
	put("conch_quota_bytes", float64(l.cfg.Limits.Store.QuotaBytes))
}

func (c *collector) peer(put putFunc, p transport.PeerStats) {
	id := idText(p.ID)
	put("conch_peer_connected", oneIf(p.Connected), id)
	put("conch_peer_round_trip_seconds", p.RoundTrip.Seconds(), id)
	put("conch_peer_queued_bytes", float64(p.QueuedBytes), id)
	put("conch_peer_sent_bytes_total", float64(p.SentBytes), id)
	put("conch_peer_received_bytes_total", float64(p.ReceivedBytes), id)
	put("conch_peer_sent_messages_total", float64(p.SentMessages), id)
	put("conch_peer_dropped_messages_total", float64(p.DroppedFull+p.DroppedLost+p.DroppedTooLarge), id)
	put("conch_peer_flushes_total", float64(p.Flushes), id)
	put("conch_peer_connects_total", float64(p.Connects), id)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sarama, unmodified: conformance [BOOTSTRAP [CHECK...]].
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"pelton/conformance/check"
)

var broker string

func config(change func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Return.Errors = true
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Rebalance.Timeout = 5 * time.Second
	c.Consumer.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond
	// A consumer that closes waits for the fetch that is under way.
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Metadata.RefreshFrequency = 500 * time.Millisecond
	if change != nil {
		change(c)
	}
	return c
}

func admin() sarama.ClusterAdmin {
	return check.Must(sarama.NewClusterAdmin([]string{broker}, config(nil)))
}

func topic(partitions int32, configs ...string) string {
	a := admin()
	defer a.Close()
	name, wanted := check.Fresh("t"), map[string]*string{}
	for at := 0; at < len(configs); at += 2 {
		wanted[configs[at]] = &configs[at+1]
	}
	check.Ok(a.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: wanted}, false))
	// Apache Kafka's controller answers before its broker has heard of it.
	check.Eventually(10, name+" is known", func() bool { _, there := check.Must(a.ListTopics())[name]; return there })
	return name
}

func producer(change func(*sarama.Config)) sarama.SyncProducer {
	return check.Must(sarama.NewSyncProducer([]string{broker}, config(change)))
}

func message(to, value string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: to, Value: sarama.StringEncoder(value)}
}

func produce(to string, count int) {
	p := producer(nil)
	defer p.Close()
	var messages []*sarama.ProducerMessage
	for n := range count {
		messages = append(messages, message(to, fmt.Sprint(n)))
	}
	check.Ok(p.SendMessages(messages))
}

// read gives the messages of partition 0 from there on until one is the last.
func read(name string, from int64, last func(*sarama.ConsumerMessage) bool, change func(*sarama.Config)) []*sarama.ConsumerMessage {
	c := check.Must(sarama.NewConsumer([]string{broker}, config(change)))
	defer c.Close()
	p := check.Must(c.ConsumePartition(name, 0, from))
	defer p.Close()
	var found []*sarama.ConsumerMessage
	late := time.After(20 * time.Second)
	for {
		select {
		case m := <-p.Messages():
			found = append(found, m)
			if last(m) {
				return found
			}
		case err := <-p.Errors():
			panic(err)
		case <-late:
			panic(fmt.Sprintf("after 20 s only %d messages", len(found)))
		}
	}
}

// take gives so many messages of partition 0.
func take(name string, from int64, count int) []*sarama.ConsumerMessage {
	seen := 0
	return read(name, from, func(*sarama.ConsumerMessage) bool { seen++; return seen == count }, nil)
}

// committed gives the values of all that is committed in partition 0: what comes before a message of no transaction that is written
// now, since nobody reads that before the transactions below it have ended.
func committed(name string) string {
	p := producer(nil)
	defer p.Close()
	_, end, err := p.SendMessage(message(name, "end"))
	check.Ok(err)
	found := read(name, sarama.OffsetOldest, func(m *sarama.ConsumerMessage) bool { return m.Offset == end },
		func(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted })
	return values(found[:len(found)-1])
}

func values(found []*sarama.ConsumerMessage) string {
	var all []string
	for _, m := range found {
		all = append(all, string(m.Value))
	}
	return strings.Join(all, " ")
}

func codec(wanted sarama.CompressionCodec) func(context.Context) {
	return func(context.Context) {
		to := topic(1)
		p := producer(func(c *sarama.Config) {
			c.Producer.Compression = wanted
			c.Producer.Flush.Frequency = 5 * time.Millisecond
		})
		defer p.Close()
		var messages []*sarama.ProducerMessage
		for n := range 500 {
			messages = append(messages, message(to, fmt.Sprint(wanted, n, strings.Repeat("x", n%300))))
		}
		check.Ok(p.SendMessages(messages))
		for n, m := range take(to, sarama.OffsetOldest, 500) {
			check.Same(fmt.Sprint(wanted, n, strings.Repeat("x", n%300)), string(m.Value), "value")
			check.Same(int64(n), m.Offset, "offset")
		}
	}
}

func shapes(context.Context) {
	to, then := topic(1), time.UnixMilli(1_577_836_800_000)
	p := producer(nil)
	defer p.Close()
	check.Ok(p.SendMessages([]*sarama.ProducerMessage{
		{Topic: to, Value: sarama.StringEncoder("v"), Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte{0, 255}}, {Key: []byte("b"), Value: nil}}},
		{Topic: to, Key: sarama.StringEncoder("k")},
		{Topic: to, Key: sarama.StringEncoder(""), Value: sarama.StringEncoder(""), Timestamp: then},
	}))
	found := take(to, sarama.OffsetOldest, 3)
	check.Same(2, len(found[0].Headers), "headers")
	check.That(bytes.Equal(found[0].Headers[0].Value, []byte{0, 255}) && found[0].Key == nil, "a binary header, a null key")
	check.That(string(found[1].Key) == "k" && found[1].Value == nil, "a tombstone")
	check.That(found[2].Key != nil && found[2].Value != nil, "empty ones are not null")
	check.Same(then.UnixMilli(), found[2].Timestamp.UnixMilli(), "timestamp")
}

func sizes(context.Context) {
	small, large := topic(1, "max.message.bytes", "10000"), topic(1, "max.message.bytes", "6000000")
	p := producer(func(c *sarama.Config) { c.Producer.MaxMessageBytes = 8_000_000 })
	defer p.Close()
	value := strings.Repeat("0123456789", 400_000)
	_, _, err := p.SendMessage(message(large, value))
	check.Ok(err)
	check.That(string(take(large, sarama.OffsetOldest, 1)[0].Value) == value, "the bytes are the same")
	_, _, err = p.SendMessage(message(small, value[:20_000]))
	check.That(errors.Is(err, sarama.ErrMessageSizeTooLarge), "expected MESSAGE_TOO_LARGE, got %v", err)
}

func acks(wanted sarama.RequiredAcks) func(context.Context) {
	return func(context.Context) {
		to := topic(1)
		p := producer(func(c *sarama.Config) { c.Producer.RequiredAcks = wanted })
		defer p.Close()
		for n := range 50 {
			_, _, err := p.SendMessage(message(to, fmt.Sprint(n)))
			check.Ok(err)
		}
		for n, m := range take(to, sarama.OffsetOldest, 50) {
			check.Same(fmt.Sprint(n), string(m.Value), "value")
		}
	}
}

func idempotence(context.Context) {
	to := topic(1)
	p := producer(func(c *sarama.Config) {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
		c.Producer.Flush.MaxMessages = 20
	})
	defer p.Close()
	var messages []*sarama.ProducerMessage
	for n := range 2000 {
		messages = append(messages, message(to, fmt.Sprint(n)))
	}
	check.Ok(p.SendMessages(messages))
	for n, m := range take(to, sarama.OffsetOldest, 2000) {
		check.Same(fmt.Sprint(n), string(m.Value), "value")
	}
	check.Same(int64(1999), messages[1999].Offset, "the last offset")
}

func transactional(id string) func(*sarama.Config) {
	return func(c *sarama.Config) {
		c.Producer.Idempotent = true
		c.Producer.Transaction.ID = id
		c.Net.MaxOpenRequests = 1
	}
}

func transactions(context.Context) {
	to := topic(1)
	p := producer(transactional(check.Fresh("id")))
	defer p.Close()
	for n := range 6 {
		check.Ok(p.BeginTxn())
		for range 3 {
			_, _, err := p.SendMessage(message(to, []string{"good", "bad"}[n%2]))
			check.Ok(err)
		}
		if n%2 == 0 {
			check.Ok(p.CommitTxn())
		} else {
			check.Ok(p.AbortTxn())
		}
	}
	check.Same(strings.TrimSpace(strings.Repeat("good ", 9)), committed(to), "committed records")
	check.Same(strings.Repeat("good good good bad bad bad ", 3), values(take(to, sarama.OffsetOldest, 18))+" ", "all records")
}

func offsetsOfTransactions(context.Context) {
	from, to, group := topic(1), topic(1), check.Fresh("g")
	produce(from, 10)
	p := producer(transactional(check.Fresh("id")))
	defer p.Close()
	a := admin()
	defer a.Close()
	for _, commit := range []bool{false, true} {
		check.Ok(p.BeginTxn())
		_, _, err := p.SendMessage(message(to, fmt.Sprint(commit)))
		check.Ok(err)
		check.Ok(p.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{from: {{Partition: 0, Offset: 7}}}, group))
		expected := int64(-1)
		if commit {
			check.Ok(p.CommitTxn())
			expected = 7
		} else {
			check.Ok(p.AbortTxn())
		}
		check.Eventually(10, fmt.Sprint(expected, " is committed"), func() bool {
			found := check.Must(a.ListConsumerGroupOffsets(group, map[string][]int32{from: {0}}))
			return found.GetBlock(from, 0).Offset == expected
		})
	}
	check.Same("true", committed(to), "records")
}

func fencing(context.Context) {
	to, id := topic(1), check.Fresh("id")
	first := producer(transactional(id))
	defer first.Close()
	check.Ok(first.BeginTxn())
	_, _, err := first.SendMessage(message(to, "lost"))
	check.Ok(err)
	second := producer(transactional(id))
	defer second.Close()
	check.Ok(second.BeginTxn())
	_, _, err = second.SendMessage(message(to, "kept"))
	check.Ok(err)
	check.Ok(second.CommitTxn())
	_, _, err = first.SendMessage(message(to, "late"))
	if err == nil {
		err = first.CommitTxn()
	}
	check.That(err != nil, "the first one is fenced")
	check.Same("kept", committed(to), "records")
}

// member is a consumer of a group on a goroutine of its own.
type member struct {
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
	done   chan struct{}
	mutex  sync.Mutex
	owned  []int32
	rounds int
	values []string
	err    error
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.owned, m.rounds = nil, m.rounds+1
	for _, partitions := range session.Claims() {
		m.owned = append(m.owned, partitions...)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.owned = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.mutex.Lock()
			m.values = append(m.values, string(message.Value))
			m.mutex.Unlock()
			session.MarkMessage(message, "read")
		case <-session.Context().Done():
			return nil
		}
	}
}

func join(group, name string, change func(*sarama.Config)) *member {
	ctx, cancel := context.WithCancel(context.Background())
	c := config(change)
	m := &member{group: check.Must(sarama.NewConsumerGroup([]string{broker}, group, c)), cancel: cancel, done: make(chan struct{})}
	go func() {
		for range m.group.Errors() {
		}
	}()
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if err := m.group.Consume(ctx, []string{name}, m); err != nil {
				m.mutex.Lock()
				m.err = err
				m.mutex.Unlock()
				return
			}
		}
	}()
	return m
}

func (m *member) leave() {
	m.cancel()
	<-m.done
	_ = m.group.Close()
}

func (m *member) count() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned)
}

func covered(count int, members ...*member) bool {
	sum := 0
	for _, m := range members {
		if m.count() == 0 {
			return false
		}
		sum += m.count()
	}
	return sum == count
}

func rebalance(strategy sarama.BalanceStrategy) func(context.Context) {
	return func(context.Context) {
		name, group := topic(4), check.Fresh("g")
		change := func(c *sarama.Config) {
			c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		}
		one := join(group, name, change)
		defer one.leave()
		check.Eventually(15, "one has all", func() bool { return covered(4, one) })
		two := join(group, name, change)
		check.Eventually(20, "two each", func() bool { return covered(4, one, two) && one.count() == 2 })
		two.leave()
		check.Eventually(20, "one has all again", func() bool { return covered(4, one) })
	}
}

func static(context.Context) {
	name, group := topic(4), check.Fresh("g")
	instance := func(id string) func(*sarama.Config) {
		return func(c *sarama.Config) { c.Consumer.Group.InstanceId = id }
	}
	stays, goes := join(group, name, instance("stays")), join(group, name, instance("goes"))
	defer stays.leave()
	check.Eventually(20, "two each", func() bool { return covered(4, stays, goes) && stays.count() == 2 })
	stays.mutex.Lock()
	rounds := stays.rounds
	stays.mutex.Unlock()
	goes.leave()
	back := join(group, name, instance("goes"))
	defer back.leave()
	check.Eventually(20, "its partitions again", func() bool { return covered(4, stays, back) })
	stays.mutex.Lock()
	defer stays.mutex.Unlock()
	check.Same(rounds, stays.rounds, "rebalances that the other one saw")
}

func commits(context.Context) {
	name, group := topic(1), check.Fresh("g")
	produce(name, 50)
	reader := join(group, name, nil)
	check.Eventually(15, "50 records", func() bool {
		reader.mutex.Lock()
		defer reader.mutex.Unlock()
		return len(reader.values) == 50
	})
	reader.leave()
	a := admin()
	defer a.Close()
	block := check.Must(a.ListConsumerGroupOffsets(group, map[string][]int32{name: {0}})).GetBlock(name, 0)
	check.Same(int64(50), block.Offset, "committed")
	check.Same("read", block.Metadata, "its metadata")
	produce(name, 1)
	again := join(group, name, nil)
	defer again.leave()
	check.Eventually(15, "only the new one", func() bool {
		again.mutex.Lock()
		defer again.mutex.Unlock()
		return len(again.values) == 1
	})
}

func seeks(context.Context) {
	name, now := topic(1), time.Now()
	p := producer(nil)
	defer p.Close()
	for n := range 10 {
		m := message(name, fmt.Sprint(n))
		m.Timestamp = now.Add(time.Duration(n-10) * 10 * time.Second)
		_, _, err := p.SendMessage(m)
		check.Ok(err)
	}
	c := check.Must(sarama.NewClient([]string{broker}, config(nil)))
	defer c.Close()
	check.Same(int64(5), check.Must(c.GetOffset(name, 0, now.Add(-55*time.Second).UnixMilli())), "offset by time")
	check.Same(int64(0), check.Must(c.GetOffset(name, 0, sarama.OffsetOldest)), "oldest")
	check.Same(int64(10), check.Must(c.GetOffset(name, 0, sarama.OffsetNewest)), "newest")
	check.Same("5", values(take(name, 5, 1)), "at an offset")
	reader := check.Must(sarama.NewConsumerFromClient(c))
	_, err := reader.ConsumePartition(name, 0, 1000)
	check.That(errors.Is(err, sarama.ErrOffsetOutOfRange), "expected OFFSET_OUT_OF_RANGE, got %v", err)
}

func adminTopics(context.Context) {
	a := admin()
	defer a.Close()
	name := topic(2, "retention.ms", "777000")
	details := check.Must(a.ListTopics())[name]
	check.Same(int32(2), details.NumPartitions, "partitions")
	check.Same("777000", *details.ConfigEntries["retention.ms"], "retention.ms")
	check.Same(2, len(check.Must(a.DescribeTopics([]string{name}))[0].Partitions), "described partitions")
	err := a.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	check.That(errors.Is(err, sarama.ErrTopicAlreadyExists), "expected TOPIC_ALREADY_EXISTS, got %v", err)
	err = a.CreateTopic("no good", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	check.That(errors.Is(err, sarama.ErrInvalidTopic), "expected INVALID_TOPIC_EXCEPTION, got %v", err)
	check.Ok(a.CreatePartitions(name, 4, nil, false))
	check.Eventually(10, "four partitions", func() bool { return check.Must(a.ListTopics())[name].NumPartitions == 4 })
	value := "888000"
	check.Ok(a.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false))
	check.Eventually(10, "retention.ms is changed", func() bool {
		entries := check.Must(a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name}))
		return slices.ContainsFunc(entries, func(e sarama.ConfigEntry) bool { return e.Name == "retention.ms" && e.Value == value })
	})
	check.Ok(a.DeleteTopic(name))
	check.Eventually(10, "gone", func() bool { _, there := check.Must(a.ListTopics())[name]; return !there })
}

func adminGroups(context.Context) {
	a := admin()
	defer a.Close()
	name, group := topic(1), check.Fresh("g")
	produce(name, 5)
	m := join(group, name, nil)
	check.Eventually(15, "it has all", func() bool { return covered(1, m) })
	kind, there := check.Must(a.ListConsumerGroups())[group]
	check.That(there && kind == "consumer", "it is listed: %v %s", there, kind)
	described := check.Must(a.DescribeConsumerGroups([]string{group}))[0]
	check.Same("Stable", described.State, "state")
	check.Same("range", described.Protocol, "assignor")
	check.Same(1, len(described.Members), "members")
	err := a.DeleteConsumerGroup(group)
	check.That(errors.Is(err, sarama.ErrNonEmptyGroup), "expected NON_EMPTY_GROUP, got %v", err)
	check.Eventually(15, "5 records", func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return len(m.values) == 5
	})
	m.leave()
	check.Same(int64(5), check.Must(a.ListConsumerGroupOffsets(group, nil)).GetBlock(name, 0).Offset, "offset")
	check.Ok(a.DeleteConsumerGroupOffset(group, name, 0))
	check.Ok(a.DeleteConsumerGroup(group))
	_, there = check.Must(a.ListConsumerGroups())[group]
	check.That(!there, "gone")
}

func adminCluster(context.Context) {
	a := admin()
	defer a.Close()
	brokers, _, err := a.DescribeCluster()
	check.Ok(err)
	check.Same(1, len(brokers), "brokers")
	name := topic(1)
	produce(name, 10)
	check.Ok(a.DeleteRecords(name, map[int32]int64{0: 4}))
	check.Same("4 5 6 7 8 9", values(take(name, sarama.OffsetOldest, 6)), "records")
	dirs := check.Must(a.DescribeLogDirs([]int32{brokers[0].ID()}))
	check.Same(1, len(dirs), "log directories")
	check.Same(0, len(check.Must(a.ListPartitionReassignments(name, []int32{0}))), "reassignments")
	for _, partitions := range check.Must(a.ElectLeaders(sarama.PreferredElection, map[string][]int32{name: {0}})) {
		for _, answer := range partitions {
			check.That(errors.Is(answer.ErrorCode, sarama.KError(84)), "expected ELECTION_NOT_NEEDED, got %v", answer.ErrorCode)
		}
	}
	check.Same(0, len(check.Must(a.DescribeClientQuotas(nil, false))), "quotas")
	check.Same(0, len(check.Must(a.DescribeUserScramCredentials(nil))), "SCRAM users")
}

func wrongUse(context.Context) {
	p := producer(func(c *sarama.Config) { c.Metadata.Retry.Max = 1 })
	defer p.Close()
	_, _, err := p.SendMessage(message("no good", "v"))
	check.That(errors.Is(err, sarama.ErrInvalidTopic), "expected INVALID_TOPIC_EXCEPTION, got %v", err)
	_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: topic(1), Partition: 7, Value: sarama.StringEncoder("v")})
	check.That(errors.Is(err, sarama.ErrInvalidPartition), "expected an invalid partition, got %v", err)
	m := join(check.Fresh("g"), topic(1), func(c *sarama.Config) { c.Consumer.Group.Session.Timeout = 2 * time.Second })
	defer m.leave()
	check.Eventually(15, "the session timeout is refused", func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return errors.Is(m.err, sarama.ErrInvalidSessionTimeout)
	})
}

func main() {
	sarama.Logger = log.New(io.Discard, "", 0)
	run := check.FromCommandLine()
	broker = run.Bootstrap
	for _, each := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		run.Check("records: codec "+each.String(), codec(each))
	}
	run.Check("records: headers, null keys, null values", shapes)
	run.Check("records: large ones, too large ones", sizes)
	run.Check("records: acks=0", acks(sarama.NoResponse))
	run.Check("records: acks=1", acks(sarama.WaitForLocal))
	run.Check("records: acks=all", acks(sarama.WaitForAll))
	run.Check("records: idempotence keeps order and numbers", idempotence)
	run.Check("transactions: committed is seen, aborted is not", transactions)
	run.Check("transactions: offsets of a group go with them", offsetsOfTransactions)
	run.Check("transactions: the second producer of an id fences the first", fencing)
	run.Check("groups: range", rebalance(sarama.NewBalanceStrategyRange()))
	run.Check("groups: round robin", rebalance(sarama.NewBalanceStrategyRoundRobin()))
	run.Check("groups: sticky", rebalance(sarama.NewBalanceStrategySticky()))
	run.Check("groups: a static member comes back to its partitions", static)
	run.Check("offsets: commit and go on", commits)
	run.Check("offsets: oldest, newest, by time, out of range", seeks)
	run.Check("admin: topics, partitions, configs", adminTopics)
	run.Check("admin: groups and their offsets", adminGroups)
	run.Check("admin: the cluster", adminCluster)
	run.Check("wrong use", wrongUse)
	run.Finish()
}

// sarama, unmodified: conformance [BOOTSTRAP [CHECK...]].
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
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
	c.Metadata.RefreshFrequency = 500 * time.Millisecond
	if change != nil {
		change(c)
	}
	return c
}

func admin() sarama.ClusterAdmin {
	return must(sarama.NewClusterAdmin([]string{broker}, config(nil)))
}

func topic(partitions int32, configs ...string) string {
	a := admin()
	defer a.Close()
	name, wanted := fresh("t"), map[string]*string{}
	for at := 0; at < len(configs); at += 2 {
		wanted[configs[at]] = &configs[at+1]
	}
	ok(a.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: wanted}, false))
	return name
}

func producer(change func(*sarama.Config)) sarama.SyncProducer {
	return must(sarama.NewSyncProducer([]string{broker}, config(change)))
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
	ok(p.SendMessages(messages))
}

// read gives up to count messages of a partition, or what comes until nothing came for a second.
func read(name string, partition int32, from int64, count int, change func(*sarama.Config)) []*sarama.ConsumerMessage {
	c := must(sarama.NewConsumer([]string{broker}, config(change)))
	defer c.Close()
	p := must(c.ConsumePartition(name, partition, from))
	defer p.Close()
	var found []*sarama.ConsumerMessage
	for len(found) < count {
		select {
		case m := <-p.Messages():
			found = append(found, m)
		case err := <-p.Errors():
			panic(err)
		case <-time.After(1500 * time.Millisecond):
			return found
		}
	}
	return found
}

func committed(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted }

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
		ok(p.SendMessages(messages))
		found := read(to, 0, sarama.OffsetOldest, 500, nil)
		same(500, len(found), "records")
		for n, m := range found {
			same(fmt.Sprint(wanted, n, strings.Repeat("x", n%300)), string(m.Value), "value")
			same(int64(n), m.Offset, "offset")
		}
	}
}

func shapes(context.Context) {
	to, then := topic(1), time.UnixMilli(1_577_836_800_000)
	p := producer(nil)
	defer p.Close()
	ok(p.SendMessages([]*sarama.ProducerMessage{
		{Topic: to, Value: sarama.StringEncoder("v"), Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte{0, 255}}, {Key: []byte("b"), Value: nil}}},
		{Topic: to, Key: sarama.StringEncoder("k")},
		{Topic: to, Key: sarama.StringEncoder(""), Value: sarama.StringEncoder(""), Timestamp: then},
	}))
	found := read(to, 0, sarama.OffsetOldest, 3, nil)
	same(3, len(found), "records")
	same(2, len(found[0].Headers), "headers")
	that(bytes.Equal(found[0].Headers[0].Value, []byte{0, 255}) && found[0].Key == nil, "a binary header, a null key")
	that(string(found[1].Key) == "k" && found[1].Value == nil, "a tombstone")
	that(found[2].Key != nil && found[2].Value != nil, "empty ones are not null")
	same(then.UnixMilli(), found[2].Timestamp.UnixMilli(), "timestamp")
}

func sizes(context.Context) {
	small, large := topic(1, "max.message.bytes", "10000"), topic(1, "max.message.bytes", "6000000")
	p := producer(func(c *sarama.Config) { c.Producer.MaxMessageBytes = 8_000_000 })
	defer p.Close()
	value := strings.Repeat("0123456789", 400_000)
	_, _, err := p.SendMessage(message(large, value))
	ok(err)
	that(string(read(large, 0, sarama.OffsetOldest, 1, nil)[0].Value) == value, "the bytes are the same")
	_, _, err = p.SendMessage(message(small, value[:20_000]))
	that(errors.Is(err, sarama.ErrMessageSizeTooLarge), "expected MESSAGE_TOO_LARGE, got %v", err)
}

func acks(wanted sarama.RequiredAcks) func(context.Context) {
	return func(context.Context) {
		to := topic(1)
		p := producer(func(c *sarama.Config) { c.Producer.RequiredAcks = wanted })
		defer p.Close()
		for n := range 50 {
			_, _, err := p.SendMessage(message(to, fmt.Sprint(n)))
			ok(err)
		}
		same(50, len(read(to, 0, sarama.OffsetOldest, 50, nil)), "records")
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
	ok(p.SendMessages(messages))
	for n, m := range read(to, 0, sarama.OffsetOldest, 2000, nil) {
		same(fmt.Sprint(n), string(m.Value), "value")
	}
	same(int64(1999), messages[1999].Offset, "the last offset")
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
	p := producer(transactional(fresh("id")))
	defer p.Close()
	for n := range 6 {
		ok(p.BeginTxn())
		for range 3 {
			_, _, err := p.SendMessage(message(to, []string{"good", "bad"}[n%2]))
			ok(err)
		}
		if n%2 == 0 {
			ok(p.CommitTxn())
		} else {
			ok(p.AbortTxn())
		}
	}
	same(strings.TrimSpace(strings.Repeat("good ", 9)), values(read(to, 0, sarama.OffsetOldest, 100, committed)), "committed records")
	same(18, len(read(to, 0, sarama.OffsetOldest, 18, nil)), "all records")
}

func offsetsOfTransactions(context.Context) {
	from, to, group := topic(1), topic(1), fresh("g")
	produce(from, 10)
	p := producer(transactional(fresh("id")))
	defer p.Close()
	a := admin()
	defer a.Close()
	for _, commit := range []bool{false, true} {
		ok(p.BeginTxn())
		_, _, err := p.SendMessage(message(to, fmt.Sprint(commit)))
		ok(err)
		ok(p.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{from: {{Partition: 0, Offset: 7}}}, group))
		expected := int64(-1)
		if commit {
			ok(p.CommitTxn())
			expected = 7
		} else {
			ok(p.AbortTxn())
		}
		eventually(10, fmt.Sprint(expected, " is committed"), func() bool {
			found := must(a.ListConsumerGroupOffsets(group, map[string][]int32{from: {0}}))
			return found.GetBlock(from, 0).Offset == expected
		})
	}
	same("true", values(read(to, 0, sarama.OffsetOldest, 10, committed)), "records")
}

func fencing(context.Context) {
	to, id := topic(1), fresh("id")
	first := producer(transactional(id))
	defer first.Close()
	ok(first.BeginTxn())
	_, _, err := first.SendMessage(message(to, "lost"))
	ok(err)
	second := producer(transactional(id))
	defer second.Close()
	ok(second.BeginTxn())
	_, _, err = second.SendMessage(message(to, "kept"))
	ok(err)
	ok(second.CommitTxn())
	_, _, err = first.SendMessage(message(to, "late"))
	if err == nil {
		err = first.CommitTxn()
	}
	that(err != nil, "the first one is fenced")
	same("kept", values(read(to, 0, sarama.OffsetOldest, 10, committed)), "records")
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
	m := &member{group: must(sarama.NewConsumerGroup([]string{broker}, group, c)), cancel: cancel, done: make(chan struct{})}
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
		name, group := topic(4), fresh("g")
		change := func(c *sarama.Config) {
			c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		}
		one := join(group, name, change)
		defer one.leave()
		eventually(15, "one has all", func() bool { return covered(4, one) })
		two := join(group, name, change)
		eventually(20, "two each", func() bool { return covered(4, one, two) && one.count() == 2 })
		two.leave()
		eventually(20, "one has all again", func() bool { return covered(4, one) })
	}
}

func static(context.Context) {
	name, group := topic(4), fresh("g")
	instance := func(id string) func(*sarama.Config) {
		return func(c *sarama.Config) { c.Consumer.Group.InstanceId = id }
	}
	stays, goes := join(group, name, instance("stays")), join(group, name, instance("goes"))
	defer stays.leave()
	eventually(20, "two each", func() bool { return covered(4, stays, goes) && stays.count() == 2 })
	stays.mutex.Lock()
	rounds := stays.rounds
	stays.mutex.Unlock()
	goes.leave()
	back := join(group, name, instance("goes"))
	defer back.leave()
	eventually(20, "its partitions again", func() bool { return covered(4, stays, back) })
	stays.mutex.Lock()
	defer stays.mutex.Unlock()
	same(rounds, stays.rounds, "rebalances that the other one saw")
}

func commits(context.Context) {
	name, group := topic(1), fresh("g")
	produce(name, 50)
	reader := join(group, name, nil)
	eventually(15, "50 records", func() bool {
		reader.mutex.Lock()
		defer reader.mutex.Unlock()
		return len(reader.values) == 50
	})
	reader.leave()
	a := admin()
	defer a.Close()
	block := must(a.ListConsumerGroupOffsets(group, map[string][]int32{name: {0}})).GetBlock(name, 0)
	same(int64(50), block.Offset, "committed")
	same("read", block.Metadata, "its metadata")
	produce(name, 1)
	again := join(group, name, nil)
	defer again.leave()
	eventually(15, "only the new one", func() bool {
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
		ok(err)
	}
	c := must(sarama.NewClient([]string{broker}, config(nil)))
	defer c.Close()
	same(int64(5), must(c.GetOffset(name, 0, now.Add(-55*time.Second).UnixMilli())), "offset by time")
	same(int64(0), must(c.GetOffset(name, 0, sarama.OffsetOldest)), "oldest")
	same(int64(10), must(c.GetOffset(name, 0, sarama.OffsetNewest)), "newest")
	same("5", values(read(name, 0, 5, 1, nil)), "at an offset")
	reader := must(sarama.NewConsumerFromClient(c))
	_, err := reader.ConsumePartition(name, 0, 1000)
	that(errors.Is(err, sarama.ErrOffsetOutOfRange), "expected OFFSET_OUT_OF_RANGE, got %v", err)
}

func adminTopics(context.Context) {
	a := admin()
	defer a.Close()
	name := topic(2, "retention.ms", "777000")
	details := must(a.ListTopics())[name]
	same(int32(2), details.NumPartitions, "partitions")
	same("777000", *details.ConfigEntries["retention.ms"], "retention.ms")
	same(2, len(must(a.DescribeTopics([]string{name}))[0].Partitions), "described partitions")
	err := a.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	that(errors.Is(err, sarama.ErrTopicAlreadyExists), "expected TOPIC_ALREADY_EXISTS, got %v", err)
	err = a.CreateTopic("no good", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	that(errors.Is(err, sarama.ErrInvalidTopic), "expected INVALID_TOPIC_EXCEPTION, got %v", err)
	ok(a.CreatePartitions(name, 4, nil, false))
	eventually(10, "four partitions", func() bool { return must(a.ListTopics())[name].NumPartitions == 4 })
	value := "888000"
	ok(a.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false))
	for _, entry := range must(a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name})) {
		that(entry.Name != "retention.ms" || entry.Value == value, "retention.ms is %s", entry.Value)
	}
	ok(a.DeleteTopic(name))
	eventually(10, "gone", func() bool { _, there := must(a.ListTopics())[name]; return !there })
}

func adminGroups(context.Context) {
	a := admin()
	defer a.Close()
	name, group := topic(1), fresh("g")
	produce(name, 5)
	m := join(group, name, nil)
	eventually(15, "it has all", func() bool { return covered(1, m) })
	kind, there := must(a.ListConsumerGroups())[group]
	that(there && kind == "consumer", "it is listed: %v %s", there, kind)
	described := must(a.DescribeConsumerGroups([]string{group}))[0]
	same("Stable", described.State, "state")
	same("range", described.Protocol, "assignor")
	same(1, len(described.Members), "members")
	err := a.DeleteConsumerGroup(group)
	that(errors.Is(err, sarama.ErrNonEmptyGroup), "expected NON_EMPTY_GROUP, got %v", err)
	eventually(15, "5 records", func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return len(m.values) == 5
	})
	m.leave()
	same(int64(5), must(a.ListConsumerGroupOffsets(group, nil)).GetBlock(name, 0).Offset, "offset")
	ok(a.DeleteConsumerGroupOffset(group, name, 0))
	ok(a.DeleteConsumerGroup(group))
	_, there = must(a.ListConsumerGroups())[group]
	that(!there, "gone")
}

func adminCluster(context.Context) {
	a := admin()
	defer a.Close()
	brokers, _, err := a.DescribeCluster()
	ok(err)
	same(1, len(brokers), "brokers")
	name := topic(1)
	produce(name, 10)
	ok(a.DeleteRecords(name, map[int32]int64{0: 4}))
	same(6, len(read(name, 0, sarama.OffsetOldest, 6, nil)), "records")
	dirs := must(a.DescribeLogDirs([]int32{brokers[0].ID()}))
	same(1, len(dirs), "log directories")
	same(0, len(must(a.ListPartitionReassignments(name, []int32{0}))), "reassignments")
	for _, partitions := range must(a.ElectLeaders(sarama.PreferredElection, map[string][]int32{name: {0}})) {
		for _, answer := range partitions {
			that(errors.Is(answer.ErrorCode, sarama.KError(84)), "expected ELECTION_NOT_NEEDED, got %v", answer.ErrorCode)
		}
	}
	same(0, len(must(a.DescribeClientQuotas(nil, false))), "quotas")
	same(0, len(must(a.DescribeUserScramCredentials(nil))), "SCRAM users")
}

func wrongUse(context.Context) {
	p := producer(func(c *sarama.Config) { c.Metadata.Retry.Max = 1 })
	defer p.Close()
	_, _, err := p.SendMessage(message("no good", "v"))
	that(errors.Is(err, sarama.ErrInvalidTopic), "expected INVALID_TOPIC_EXCEPTION, got %v", err)
	_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: topic(1), Partition: 7, Value: sarama.StringEncoder("v")})
	that(errors.Is(err, sarama.ErrInvalidPartition), "expected an invalid partition, got %v", err)
	m := join(fresh("g"), topic(1), func(c *sarama.Config) { c.Consumer.Group.Session.Timeout = 2 * time.Second })
	defer m.leave()
	eventually(15, "the session timeout is refused", func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return errors.Is(m.err, sarama.ErrInvalidSessionTimeout)
	})
}

func main() {
	sarama.Logger = log.New(io.Discard, "", 0)
	address, wanted := bootstrap()
	broker = address
	c := &checks{wanted: wanted}
	for _, each := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		c.check("records: codec "+each.String(), codec(each))
	}
	c.check("records: headers, null keys, null values", shapes)
	c.check("records: large ones, too large ones", sizes)
	c.check("records: acks=0", acks(sarama.NoResponse))
	c.check("records: acks=1", acks(sarama.WaitForLocal))
	c.check("records: acks=all", acks(sarama.WaitForAll))
	c.check("records: idempotence keeps order and numbers", idempotence)
	c.check("transactions: committed is seen, aborted is not", transactions)
	c.check("transactions: offsets of a group go with them", offsetsOfTransactions)
	c.check("transactions: the second producer of an id fences the first", fencing)
	c.check("groups: range", rebalance(sarama.NewBalanceStrategyRange()))
	c.check("groups: round robin", rebalance(sarama.NewBalanceStrategyRoundRobin()))
	c.check("groups: sticky", rebalance(sarama.NewBalanceStrategySticky()))
	c.check("groups: a static member comes back to its partitions", static)
	c.check("offsets: commit and go on", commits)
	c.check("offsets: oldest, newest, by time, out of range", seeks)
	c.check("admin: topics, partitions, configs", adminTopics)
	c.check("admin: groups and their offsets", adminGroups)
	c.check("admin: the cluster", adminCluster)
	c.check("wrong use", wrongUse)
	c.finish()
}

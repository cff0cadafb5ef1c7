// franz-go, unmodified: conformance [BOOTSTRAP [CHECK...]].
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pelton/conformance/check"
)

var broker string

func client(options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.SeedBrokers(broker), kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(500 * time.Millisecond),
		kgo.RetryTimeout(20 * time.Second)}
	return check.Must(kgo.NewClient(append(base, options...)...))
}

func admin() (*kadm.Client, func()) {
	c := client()
	return kadm.NewClient(c), c.Close
}

func topic(ctx context.Context, partitions int32, configs ...string) string {
	a, done := admin()
	defer done()
	name, wanted := check.Fresh("t"), map[string]*string{}
	for at := 0; at < len(configs); at += 2 {
		wanted[configs[at]] = &configs[at+1]
	}
	check.Must(a.CreateTopic(ctx, partitions, 1, wanted, name))
	return name
}

func reading(name string, more ...kgo.Opt) *kgo.Client {
	return client(append([]kgo.Opt{kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, more...)...)
}

func take(ctx context.Context, c *kgo.Client, count int) []*kgo.Record {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var found []*kgo.Record
	for len(found) < count && ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		for _, each := range fetches.Errors() {
			if !errors.Is(each.Err, context.DeadlineExceeded) {
				panic(each.Err)
			}
		}
		found = append(found, fetches.Records()...)
	}
	return found
}

// values gives what a partition holds below the end that is known when it is called.
func values(ctx context.Context, name string, isolation kgo.IsolationLevel) []string {
	a, done := admin()
	ends := check.Must(a.ListEndOffsets(ctx, name))
	done()
	end, _ := ends.Lookup(name, 0)
	c := reading(name, kgo.FetchIsolationLevel(isolation), kgo.KeepControlRecords())
	defer c.Close()
	var found []string
	polling, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for at := int64(0); at < end.Offset; {
		check.That(polling.Err() == nil, "stands at %d, the end is %d", at, end.Offset)
		c.PollFetches(polling).EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if !r.Attrs.IsControl() {
				found = append(found, string(r.Value))
			}
		})
	}
	return found
}

func codec(name string, wanted kgo.CompressionCodec) func(context.Context) {
	return func(ctx context.Context) {
		to := topic(ctx, 2)
		c := client(kgo.ProducerBatchCompression(wanted), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer c.Close()
		var records []*kgo.Record
		for n := range 600 {
			records = append(records, &kgo.Record{Topic: to, Partition: int32(n % 2), Value: fmt.Appendf(nil, "%s %d %s", name, n, strings.Repeat("x", n%300))})
		}
		check.Ok(c.ProduceSync(ctx, records...).FirstErr())
		reader := reading(to)
		defer reader.Close()
		found := take(ctx, reader, 600)
		check.Same(600, len(found), "records")
		for _, r := range found {
			n := int(r.Offset)*2 + int(r.Partition)
			check.Same(fmt.Sprintf("%s %d %s", name, n, strings.Repeat("x", n%300)), string(r.Value), "value")
		}
	}
}

func shapes(ctx context.Context) {
	to := topic(ctx, 1)
	c := client()
	defer c.Close()
	then := time.UnixMilli(1_577_836_800_000)
	check.Ok(c.ProduceSync(ctx,
		&kgo.Record{Topic: to, Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte{0, 255}}, {Key: "a", Value: []byte{}}, {Key: "b"}}},
		&kgo.Record{Topic: to, Key: []byte("k")},
		&kgo.Record{Topic: to, Key: []byte{}, Value: []byte{}, Timestamp: then}).FirstErr())
	reader := reading(to)
	defer reader.Close()
	found := take(ctx, reader, 3)
	check.Same(3, len(found), "records")
	check.Same("[{a [0 255]} {a []} {b []}]", fmt.Sprint(found[0].Headers), "headers")
	check.That(found[0].Headers[1].Value != nil && found[0].Headers[2].Value == nil, "an empty header and a null one")
	check.That(found[0].Key == nil && found[1].Value == nil && found[2].Key != nil && found[2].Value != nil, "nulls and empties")
	check.Same(then.UnixMilli(), found[2].Timestamp.UnixMilli(), "timestamp")
}

func sizes(ctx context.Context) {
	small, large := topic(ctx, 1, "max.message.bytes", "10000"), topic(ctx, 1, "max.message.bytes", "6000000")
	value := bytes.Repeat([]byte("0123456789"), 400_000)
	c := client(kgo.ProducerBatchMaxBytes(8_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer c.Close()
	check.Ok(c.ProduceSync(ctx, &kgo.Record{Topic: large, Value: value}).FirstErr())
	reader := reading(large)
	defer reader.Close()
	check.That(bytes.Equal(value, take(ctx, reader, 1)[0].Value), "the bytes are the same")
	err := c.ProduceSync(ctx, &kgo.Record{Topic: small, Value: value[:20_000]}).FirstErr()
	check.That(errors.Is(err, kerr.MessageTooLarge), "expected MESSAGE_TOO_LARGE, got %v", err)
}

func acks(wanted kgo.Acks) func(context.Context) {
	return func(ctx context.Context) {
		to := topic(ctx, 1)
		c := client(kgo.RequiredAcks(wanted), kgo.DisableIdempotentWrite(), kgo.DefaultProduceTopic(to))
		defer c.Close()
		for n := range 100 {
			check.Ok(c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(n))).FirstErr())
		}
		check.Eventually(10, "100 records", func() bool { return len(values(ctx, to, kgo.ReadCommitted())) == 100 })
	}
}

func idempotence(ctx context.Context) {
	to := topic(ctx, 1)
	c := client(kgo.DefaultProduceTopic(to), kgo.ProducerBatchMaxBytes(1000), kgo.ProducerLinger(0))
	defer c.Close()
	var records []*kgo.Record
	for n := range 3000 {
		records = append(records, kgo.StringRecord(fmt.Sprint(n)))
	}
	check.Ok(c.ProduceSync(ctx, records...).FirstErr())
	for n, value := range values(ctx, to, kgo.ReadCommitted()) {
		check.Same(fmt.Sprint(n), value, "value")
	}
	check.Same(int64(2999), records[2999].Offset, "the last offset")
}

func transactions(ctx context.Context) {
	to := topic(ctx, 1)
	c := client(kgo.TransactionalID(check.Fresh("id")), kgo.DefaultProduceTopic(to))
	defer c.Close()
	for n := range 6 {
		check.Ok(c.BeginTransaction())
		for range 5 {
			check.Ok(c.ProduceSync(ctx, kgo.StringRecord([]string{"good", "bad"}[n%2])).FirstErr())
		}
		check.Ok(c.EndTransaction(ctx, n%2 == 0))
	}
	found := values(ctx, to, kgo.ReadCommitted())
	check.Same(strings.Repeat("good ", 15), strings.Join(found, " ")+" ", "committed records")
	check.Same(30, len(values(ctx, to, kgo.ReadUncommitted())), "all records")
}

func fencing(ctx context.Context) {
	to, id := topic(ctx, 1), check.Fresh("id")
	first, second := client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(to)), client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(to))
	defer first.Close()
	defer second.Close()
	check.Ok(first.BeginTransaction())
	check.Ok(first.ProduceSync(ctx, kgo.StringRecord("lost")).FirstErr())
	check.Ok(second.BeginTransaction())
	check.Ok(second.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr())
	check.Ok(second.EndTransaction(ctx, kgo.TryCommit))
	err := first.ProduceSync(ctx, kgo.StringRecord("late")).FirstErr()
	if err == nil {
		err = first.EndTransaction(ctx, kgo.TryCommit)
	}
	check.That(errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced), "it is fenced, not %v", err)
	check.Same("[kept]", fmt.Sprint(values(ctx, to, kgo.ReadCommitted())), "records")
}

func transform(ctx context.Context) {
	from, to, group := topic(ctx, 2), topic(ctx, 1), check.Fresh("g")
	plain := client(kgo.DefaultProduceTopic(from))
	for n := range 200 {
		check.Ok(plain.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(n))).FirstErr())
	}
	plain.Close()
	session := check.Must(kgo.NewGroupTransactSession(kgo.SeedBrokers(broker), kgo.TransactionalID(check.Fresh("id")), kgo.ConsumerGroup(group), kgo.ConsumeTopics(from),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic(to), kgo.RequireStableFetchOffsets()))
	defer session.Close()
	for done, round := 0, 0; done < 200; round++ {
		check.That(round < 500, "only %d of 200 came", done)
		fetches := session.PollRecords(ctx, 30)
		check.Ok(session.Begin())
		fetches.EachRecord(func(r *kgo.Record) { session.Produce(ctx, kgo.StringRecord(string(r.Value)+"!"), nil) })
		check.Ok(session.Client().Flush(ctx))
		wanted := kgo.TransactionEndTry(round%3 != 2)
		committed := check.Must(session.End(ctx, wanted))
		if committed {
			done += fetches.NumRecords()
		}
	}
	seen := map[string]bool{}
	for _, value := range values(ctx, to, kgo.ReadCommitted()) {
		check.That(!seen[value], "%s came twice", value)
		seen[value] = true
	}
	check.Same(200, len(seen), "records")
}

// member is a consumer of a group that is polled by a goroutine of its own.
type member struct {
	client *kgo.Client
	mutex  sync.Mutex
	owned  map[int32]bool
	events []string
	err    error
}

func join(ctx context.Context, group, name string, more ...kgo.Opt) *member {
	m := &member{owned: map[int32]bool{}}
	note := func(word string, owns bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, numbers := range partitions {
				for _, number := range numbers {
					m.events = append(m.events, fmt.Sprint(word, " ", number))
					if owns {
						m.owned[number] = true
					} else {
						delete(m.owned, number)
					}
				}
			}
		}
	}
	m.client = reading(name, append([]kgo.Opt{kgo.ConsumerGroup(group), kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.OnPartitionsAssigned(note("assigned", true)), kgo.OnPartitionsRevoked(note("revoked", false)), kgo.OnPartitionsLost(note("lost", false))}, more...)...)
	go func() {
		for ctx.Err() == nil {
			fetches := m.client.PollFetches(ctx)
			if fetches.IsClientClosed() {
				return
			}
			for _, each := range fetches.Errors() {
				m.mutex.Lock()
				m.err = each.Err
				m.mutex.Unlock()
			}
		}
	}()
	return m
}

func (m *member) count() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned)
}

func (m *member) seen(word string) int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	count := 0
	for _, event := range m.events {
		if strings.HasPrefix(event, word) {
			count++
		}
	}
	return count
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

func rebalance(balancer kgo.GroupBalancer) func(context.Context) {
	return func(ctx context.Context) {
		name, group := topic(ctx, 6), check.Fresh("g")
		one := join(ctx, group, name, kgo.Balancers(balancer))
		defer one.client.Close()
		check.Eventually(15, "one has all", func() bool { return covered(6, one) })
		two, three := join(ctx, group, name, kgo.Balancers(balancer)), join(ctx, group, name, kgo.Balancers(balancer))
		defer three.client.Close()
		check.Eventually(20, "two each", func() bool { return covered(6, one, two, three) && one.count() == 2 && two.count() == 2 })
		two.client.Close()
		check.Eventually(20, "three each", func() bool { return covered(6, one, three) })
	}
}

func cooperative(ctx context.Context) {
	name, group := topic(ctx, 6), check.Fresh("g")
	one := join(ctx, group, name, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	defer one.client.Close()
	check.Eventually(15, "one has all", func() bool { return covered(6, one) })
	two := join(ctx, group, name, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	defer two.client.Close()
	check.Eventually(20, "three each", func() bool { return covered(6, one, two) })
	check.Same(3, one.seen("revoked"), "revoked partitions")
	check.Same(6, one.seen("assigned"), "assigned partitions, all of them at the beginning")
}

func static(ctx context.Context) {
	name, group := topic(ctx, 4), check.Fresh("g")
	stays, goes := join(ctx, group, name, kgo.InstanceID("stays")), join(ctx, group, name, kgo.InstanceID("goes"))
	defer stays.client.Close()
	check.Eventually(20, "two each", func() bool { return covered(4, stays, goes) && stays.count() == 2 })
	before := stays.seen("")
	goes.client.Close()
	back := join(ctx, group, name, kgo.InstanceID("goes"))
	defer back.client.Close()
	check.Eventually(20, "its partitions again", func() bool { return covered(4, stays, back) })
	check.Same(before, stays.seen(""), "what the other one saw")
}

func pattern(ctx context.Context) {
	a, done := admin()
	defer done()
	prefix := check.Fresh("p")
	check.Must(a.CreateTopic(ctx, 2, 1, nil, prefix+"-1"))
	m := join(ctx, check.Fresh("g"), "^"+prefix+"-.*", kgo.ConsumeRegex())
	defer m.client.Close()
	check.Eventually(15, "two partitions", func() bool { return m.seen("assigned") == 2 })
	check.Must(a.CreateTopic(ctx, 2, 1, nil, prefix+"-2"))
	check.Eventually(15, "two more", func() bool { return m.seen("assigned") >= 4 })
}

func commits(ctx context.Context) {
	name, group := topic(ctx, 1), check.Fresh("g")
	c := client(kgo.DefaultProduceTopic(name))
	for n := range 50 {
		check.Ok(c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(n))).FirstErr())
	}
	c.Close()
	reader := reading(name, kgo.ConsumerGroup(group), kgo.DisableAutoCommit())
	found := take(ctx, reader, 50)
	check.Same(50, len(found), "records")
	check.Ok(reader.CommitRecords(ctx, found[29]))
	reader.Close()
	reader = reading(name, kgo.ConsumerGroup(group), kgo.DisableAutoCommit())
	defer reader.Close()
	check.Same("30", string(take(ctx, reader, 1)[0].Value), "where the next one goes on")
}

func seeks(ctx context.Context) {
	name, now := topic(ctx, 1), time.Now()
	c := client(kgo.DefaultProduceTopic(name))
	defer c.Close()
	for n := range 10 {
		check.Ok(c.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, n), Timestamp: now.Add(time.Duration(n-10) * 10 * time.Second)}).FirstErr())
	}
	for offset, first := range map[*kgo.Offset]string{
		ref(kgo.NewOffset().At(5)): "5", ref(kgo.NewOffset().AtEnd().Relative(-3)): "7",
		ref(kgo.NewOffset().AfterMilli(now.Add(-55 * time.Second).UnixMilli())): "5"} {
		reader := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: *offset}}))
		check.Same(first, string(take(ctx, reader, 1)[0].Value), "the first record")
		reader.Close()
	}
	reader := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(1000)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer reader.Close()
	fetches := reader.PollFetches(ctx)
	check.That(errors.Is(fetches.Err(), kerr.OffsetOutOfRange), "expected OFFSET_OUT_OF_RANGE, got %v", fetches.Err())
}

func ref[T any](value T) *T { return &value }

func adminTopics(ctx context.Context) {
	a, done := admin()
	defer done()
	name := topic(ctx, 2)
	details := check.Must(a.ListTopics(ctx, name))
	check.Same(2, len(details[name].Partitions), "partitions")
	_, err := a.CreateTopic(ctx, 1, 1, nil, name)
	check.That(errors.Is(err, kerr.TopicAlreadyExists), "expected TOPIC_ALREADY_EXISTS, got %v", err)
	_, err = a.CreateTopic(ctx, 1, 1, nil, "no good")
	check.That(errors.Is(err, kerr.InvalidTopicException), "expected INVALID_TOPIC_EXCEPTION, got %v", err)
	_, err = a.CreateTopic(ctx, 1, 3, nil, check.Fresh("t"))
	check.That(errors.Is(err, kerr.InvalidReplicationFactor), "expected INVALID_REPLICATION_FACTOR, got %v", err)
	check.Ok(check.Must(a.CreatePartitions(ctx, 2, name)).Error())
	check.Eventually(10, "four partitions", func() bool { return len(check.Must(a.ListTopics(ctx, name))[name].Partitions) == 4 })
	check.Ok(check.Must(a.DeleteTopics(ctx, name)).Error())
	check.Eventually(10, "gone", func() bool { return !check.Must(a.ListTopics(ctx)).Has(name) })
}

func adminConfigs(ctx context.Context) {
	a, done := admin()
	defer done()
	name := topic(ctx, 1, "retention.ms", "777000")
	value := func(key string) string {
		configs := check.Must(check.Must(a.DescribeTopicConfigs(ctx, name)).On(name, nil))
		for _, each := range configs.Configs {
			if each.Key == key {
				return each.MaybeValue()
			}
		}
		return "missing"
	}
	check.Eventually(10, "retention.ms is 777000", func() bool { return value("retention.ms") == "777000" })
	compact := "compact"
	for _, answer := range check.Must(a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}, {Op: kadm.AppendConfig, Name: "cleanup.policy", Value: &compact}}, name)) {
		check.Ok(answer.Err)
	}
	check.Eventually(10, "both are changed", func() bool {
		return value("retention.ms") == "604800000" && value("cleanup.policy") == "delete,compact"
	})
}

func adminGroups(ctx context.Context) {
	a, done := admin()
	defer done()
	name, group := topic(ctx, 2), check.Fresh("g")
	m := join(ctx, group, name)
	check.Eventually(15, "it has all", func() bool { return covered(2, m) })
	offsets := kadm.Offsets{}
	offsets.AddOffset(name, 0, 5, -1)
	listed := check.Must(a.ListGroups(ctx))
	check.Same("Stable", listed[group].State, "listed state")
	described := check.Must(a.DescribeGroups(ctx, group))
	check.Same("Stable", described[group].State, "described state")
	check.Same(1, len(described[group].Members), "members")
	deleted := check.Must(a.DeleteGroups(ctx, group))
	check.That(errors.Is(deleted[group].Err, kerr.NonEmptyGroup), "expected NON_EMPTY_GROUP, got %v", deleted[group].Err)
	m.client.Close()
	check.Ok(a.CommitAllOffsets(ctx, group, offsets))
	fetched := check.Must(a.FetchOffsets(ctx, group))
	at, _ := fetched.Lookup(name, 0)
	check.Same(int64(5), at.At, "offset")
	lag := check.Must(a.Lag(ctx, group))
	grouped := lag[group]
	check.Ok(grouped.Error())
	set := kadm.TopicsSet{}
	set.Add(name, 0)
	check.Ok(check.Must(a.DeleteOffsets(ctx, group, set)).Error())
	_, err := a.DeleteGroup(ctx, group)
	check.Ok(err)
}

func adminOffsets(ctx context.Context) {
	a, done := admin()
	defer done()
	name := topic(ctx, 1)
	c := client(kgo.DefaultProduceTopic(name))
	defer c.Close()
	now := time.Now()
	for _, back := range []int{50, 10, 90} {
		check.Ok(c.ProduceSync(ctx, &kgo.Record{Value: []byte("v"), Timestamp: now.Add(-time.Duration(back) * time.Second)}).FirstErr())
	}
	offset := func(listed kadm.ListedOffsets, err error) int64 {
		check.Ok(err)
		found, _ := listed.Lookup(name, 0)
		check.Ok(found.Err)
		return found.Offset
	}
	check.Same(0, offset(a.ListStartOffsets(ctx, name)), "start")
	check.Same(3, offset(a.ListEndOffsets(ctx, name)), "end")
	check.Same(3, offset(a.ListCommittedOffsets(ctx, name)), "last stable")
	check.Same(1, offset(a.ListMaxTimestampOffsets(ctx, name)), "of the latest timestamp")
	check.Same(1, offset(a.ListOffsetsAfterMilli(ctx, now.Add(-20*time.Second).UnixMilli(), name)), "by time")
	offsets := kadm.Offsets{}
	offsets.AddOffset(name, 0, 2, -1)
	check.Ok(check.Must(a.DeleteRecords(ctx, offsets)).Error())
	check.Same(2, offset(a.ListStartOffsets(ctx, name)), "start")
	set := kadm.TopicsSet{}
	set.Add(name, 0)
	check.Ok(check.Must(a.DescribeProducers(ctx, set))[name].Partitions[0].Err)
	check.Must(a.DescribeAllLogDirs(ctx, set))
	for _, each := range check.Must(a.ElectLeaders(ctx, kadm.ElectPreferredReplica, set))[name] {
		check.That(errors.Is(each.Err, kerr.ElectionNotNeeded), "expected ELECTION_NOT_NEEDED, got %v", each.Err)
	}
	check.Same(0, len(check.Must(a.ListPartitionReassignments(ctx, set))), "reassignments")
}

func adminCluster(ctx context.Context) {
	a, done := admin()
	defer done()
	metadata := check.Must(a.BrokerMetadata(ctx))
	check.Same(1, len(metadata.Brokers), "brokers")
	check.Same(22, len(metadata.Cluster), "length of the cluster id")
	versions := check.Must(a.ApiVersions(ctx))
	for _, each := range versions {
		check.Ok(each.Err)
	}
	check.Must(a.ListTransactions(ctx, nil, nil))
}

func wrongUse(ctx context.Context) {
	c := client(kgo.UnknownTopicRetries(1))
	defer c.Close()
	err := c.ProduceSync(ctx, &kgo.Record{Topic: "no good", Value: []byte("v")}).FirstErr()
	check.That(errors.Is(err, kerr.InvalidTopicException), "expected INVALID_TOPIC_EXCEPTION, got %v", err)
	err = c.ProduceSync(ctx, &kgo.Record{Topic: check.Fresh("none"), Value: []byte("v")}).FirstErr()
	check.That(errors.Is(err, kerr.UnknownTopicOrPartition), "expected UNKNOWN_TOPIC_OR_PARTITION, got %v", err)
	m := join(ctx, check.Fresh("g"), topic(ctx, 1), kgo.SessionTimeout(time.Second))
	defer m.client.Close()
	check.Eventually(15, "the session timeout is refused", func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return m.err != nil && strings.Contains(m.err.Error(), "INVALID_SESSION_TIMEOUT")
	})
}

func main() {
	run := check.FromCommandLine()
	broker = run.Bootstrap
	for _, each := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()}, {"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()}} {
		run.Check("records: codec "+each.name, codec(each.name, each.codec))
	}
	run.Check("records: headers, null keys, null values", shapes)
	run.Check("records: large ones, too large ones", sizes)
	run.Check("records: acks=0", acks(kgo.NoAck()))
	run.Check("records: acks=1", acks(kgo.LeaderAck()))
	run.Check("records: acks=all", acks(kgo.AllISRAcks()))
	run.Check("records: idempotence keeps order and numbers", idempotence)
	run.Check("transactions: committed is seen, aborted is not", transactions)
	run.Check("transactions: the second producer of an id fences the first", fencing)
	run.Check("transactions: consume, transform, produce", transform)
	run.Check("groups: range", rebalance(kgo.RangeBalancer()))
	run.Check("groups: round robin", rebalance(kgo.RoundRobinBalancer()))
	run.Check("groups: sticky", rebalance(kgo.StickyBalancer()))
	run.Check("groups: cooperative sticky", rebalance(kgo.CooperativeStickyBalancer()))
	run.Check("groups: cooperative members keep what they keep", cooperative)
	run.Check("groups: a static member comes back to its partitions", static)
	run.Check("groups: subscription by a pattern finds new topics", pattern)
	run.Check("offsets: commit and go on", commits)
	run.Check("offsets: at an offset, from the end, by time, out of range", seeks)
	run.Check("admin: topics and partitions", adminTopics)
	run.Check("admin: configs", adminConfigs)
	run.Check("admin: groups and their offsets", adminGroups)
	run.Check("admin: list offsets, delete records, replicas", adminOffsets)
	run.Check("admin: the cluster", adminCluster)
	run.Check("wrong use", wrongUse)
	run.Finish()
}

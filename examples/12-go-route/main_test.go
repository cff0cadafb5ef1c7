package main

import (
	"slices"
	"strings"
	"testing"

	"pelton/peltontest"
)

const config = `{"dedicated": {"acme": [0, 1], "globex": [2]}}`

func TestTenantsHaveTheirPartitions(t *testing.T) {
	host := peltontest.NewPartitioner(t)
	host.Configure(config)
	keys := []any{"acme/1", "acme/2", "globex/1", "other/1", "plain", nil}
	for n := range 200 {
		keys = append(keys, "acme/"+strings.Repeat("x", n), "other/"+strings.Repeat("y", n))
	}
	partitions := host.Partition(6, keys...)
	for n, key := range keys {
		key, isText := key.(string)
		allowed := []int32{3, 4, 5}
		switch {
		case !isText:
			allowed = []int32{-1}
		case strings.HasPrefix(key, "acme/"):
			allowed = []int32{0, 1}
		case strings.HasPrefix(key, "globex/"):
			allowed = []int32{2}
		}
		if !slices.Contains(allowed, partitions[n]) {
			t.Errorf("key %q went to %d, not to one of %v", key, partitions[n], allowed)
		}
	}
	if again := host.Partition(6, keys...); !slices.Equal(again, partitions) {
		t.Error("the same keys went elsewhere the second time")
	}
	for _, partition := range []int32{0, 1, 3, 4, 5} {
		if !slices.Contains(partitions, partition) {
			t.Errorf("nothing went to %d", partition)
		}
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for given, said := range map[string]string{
		`{"dedicatd": {}}`:                    "dedicatd",
		`{"dedicated": {"a": []}}`:            "no partitions",
		`{"dedicated": {"a": [1], "b": [1]}}`: "taken by",
		`{"dedicated": {"a": [-1]}}`:          "negative",
		`{"separator": 1, "dedicated": {}}`:   "separator",
	} {
		host := peltontest.NewPartitioner(t)
		if err := host.TryConfigure(given); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", given, err)
		}
	}
	host := peltontest.NewPartitioner(t)
	host.Configure(config)
	for count, said := range map[int32]string{2: "the topic has 2", 3: "none is left"} {
		if _, err := host.TryPartition(count, "acme/1"); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%d partitions: %v", count, err)
		}
	}
}

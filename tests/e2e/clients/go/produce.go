// franz-go, unmodified: produce BOOTSTRAP TOPIC, records as lines KEY TAB VALUE on standard input.
// Prints KEY TAB PARTITION TAB OFFSET for each record, or KEY TAB error TAB MESSAGE.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Args[1]), kgo.DefaultProduceTopic(os.Args[2]), kgo.ClientID("franz-go"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var records []*kgo.Record
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "\t")
		records = append(records, kgo.KeyStringRecord(key, value))
	}
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			fmt.Printf("%s\terror\t%s\n", result.Record.Key, result.Err)
		} else {
			fmt.Printf("%s\t%d\t%d\n", result.Record.Key, result.Record.Partition, result.Record.Offset)
		}
	}
}

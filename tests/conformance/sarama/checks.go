package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// checks runs checks one after the other, each for at most a minute, and prints a line for each.
type checks struct {
	wanted         []string
	passed, failed int
}

func (c *checks) check(name string, body func(context.Context)) {
	wanted := len(c.wanted) == 0
	for _, part := range c.wanted {
		wanted = wanted || strings.Contains(name, part)
	}
	if !wanted {
		return
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		defer func() {
			complaint := ""
			if caught := recover(); caught != nil {
				complaint = strings.ReplaceAll(fmt.Sprint(caught), "\n", " ") + where()
			}
			done <- complaint
		}()
		body(ctx)
	}()
	complaint := "not done after a minute"
	select {
	case complaint = <-done:
	case <-time.After(65 * time.Second):
	}
	took := time.Since(start).Milliseconds()
	if complaint == "" {
		c.passed++
		fmt.Printf("ok     %s (%d ms)\n", name, took)
	} else {
		c.failed++
		fmt.Printf("FAILED %s (%d ms): %s\n", name, took, complaint)
	}
}

// where gives the first line of this suite below a panic.
func where() string {
	for _, line := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(line, "suite.go:") {
			return " (" + strings.TrimSpace(line[strings.LastIndex(line, "/")+1:]) + ")"
		}
	}
	return ""
}

func (c *checks) finish() {
	fmt.Printf("%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 || c.passed == 0 {
		os.Exit(1)
	}
}

func that(holds bool, otherwise string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf(otherwise, arguments...))
	}
}

func same[T comparable](expected, found T, what string) {
	that(expected == found, "%s: expected %v, found %v", what, expected, found)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func eventually(seconds int, what string, holds func() bool) {
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for !holds() {
		that(time.Now().Before(deadline), "after %d s still not: %s", seconds, what)
		time.Sleep(50 * time.Millisecond)
	}
}

func fresh(what string) string {
	return what + "-" + strings.ToLower(rand.Text()[:8])
}

func bootstrap() (string, []string) {
	if len(os.Args) > 1 {
		return os.Args[1], os.Args[2:]
	}
	return os.Getenv("BOOTSTRAP"), nil
}

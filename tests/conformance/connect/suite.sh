#!/usr/bin/env bash
# Kafka Connect standalone, unmodified, with its file source and file sink: suite.sh [BOOTSTRAP]. Jars: $PELTON_CLIENTS/conformance/connect.
set -uo pipefail
bootstrap=${1:-${BOOTSTRAP:?the broker, HOST:PORT}}
: "${PELTON_CLIENTS:?where setup.sh put the jars}"
libs="$PELTON_CLIENTS/conformance/connect/libs"
passed=0
failed=0
work=$(mktemp -d)
worker=
stop() {
  if [ -n "$worker" ]; then
    kill "$worker" 2>/dev/null
    for _ in $(seq 300); do kill -0 "$worker" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$worker" 2>/dev/null
    wait "$worker" 2>/dev/null
    worker=
  fi
}
trap 'stop; rm -rf "$work"' EXIT

check() {
  local name=$1 start said
  shift
  start=$(date +%s%N)
  if said=$("$@" 2>&1); then passed=$((passed + 1)); echo "ok     $name ($((($(date +%s%N) - start) / 1000000)) ms)"
  else failed=$((failed + 1)); echo "FAILED $name ($((($(date +%s%N) - start) / 1000000)) ms): $said"; fi
}
eventually() {
  local what=$1
  shift
  for _ in $(seq 400); do "$@" && return 0; sleep 0.1; done
  echo "after 40 s still not: $what; the worker says: $(tail -n 5 "$work/worker.log" | cut -c1-600)"
  return 1
}
start() {
  # Its JVM, its class and its files of properties, as connect-standalone.sh gives them.
  java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Xmx384m -XX:TieredStopAtLevel=1 -cp "$libs/*" org.apache.kafka.connect.cli.ConnectStandalone \
    "$work/worker.properties" "$work/source.properties" "$work/sink.properties" >>"$work/worker.log" 2>&1 </dev/null &
  worker=$!
}
# Empty lines are not compared: when it starts again, the file source takes the end of the last line for one, on Apache Kafka too.
copied() { cmp -s <(grep . "$work/out" 2>/dev/null) <(grep . "$work/in"); }
lines() { eventually "the sink has the ${1} lines of the source" copied; }

topic="connect-$(date +%s%N)"
cat >"$work/worker.properties" <<P
bootstrap.servers=$bootstrap
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename=$work/offsets
offset.flush.interval.ms=500
listeners=http://127.0.0.1:0
plugin.discovery=service_load
P
cat >"$work/source.properties" <<P
name=source-$topic
connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector
tasks.max=1
file=$work/in
topic=$topic
P
cat >"$work/sink.properties" <<P
name=sink-$topic
connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector
tasks.max=1
file=$work/out
topics=$topic
consumer.override.auto.offset.reset=earliest
errors.tolerance=none
P
printf 'the first line\nthe second, with ümlauts\n\nafter an empty one\n' >"$work/in"
start
check "a file goes through the topic into a file" lines 3
seq 1 2000 >>"$work/in"
check "what is added to the file follows" lines 2003
stop
printf 'written while it was down\n' >>"$work/in"
# The sink opens its file for appending and the group remembers where it stood: nothing is missing, nothing comes twice.
start
check "after a restart both go on where they stood" lines 2004
check "the worker reports no error" bash -c "! grep -nE 'ERROR|Exception' '$work/worker.log' | head -n 5 | grep ."
stop
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]

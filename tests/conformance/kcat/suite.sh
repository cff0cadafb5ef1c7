#!/usr/bin/env bash
# kcat, unmodified: suite.sh [BOOTSTRAP]. Debian's package, whose librdkafka is 2.0.2.
set -uo pipefail
bootstrap=${1:-${BOOTSTRAP:?the broker, HOST:PORT}}
passed=0
failed=0
run=$(date +%s%N)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME FUNCTION ARGUMENT...: a check that prints what is wrong and fails.
check() {
  local name=$1 start said status
  shift
  start=$(date +%s%N)
  if said=$("$@" 2>&1); then status=ok; passed=$((passed + 1)); else status=FAILED; failed=$((failed + 1)); fi
  local took=$((($(date +%s%N) - start) / 1000000))
  if [ $status = ok ]; then echo "ok     $name ($took ms)"
  else echo "FAILED $name ($took ms): $(tr '\n' ' ' <<<"$said")"; fi
}
same() { [ "$1" = "$2" ] || { echo "$3: expected '$1', found '$2'"; return 1; }; }
k() { timeout 30 kcat -b "$bootstrap" "$@"; }
# To the end, which is a fetch that finds nothing more and need not take long.
consume() { k -C -q -e -X fetch.wait.max.ms=100 "$@"; }

codec() {
  local topic="kcat-$1-$run"
  seq 1 200 | sed "s/^/$1 /" | k -P -t "$topic" -p 0 -z "$1" -X compression.level=-1 || return
  same "$(seq 1 200 | sed "s/^/$1 /")" "$(consume -t "$topic" -p 0 -o beginning)" records
}
shapes() {
  local topic="kcat-shapes-$run"
  printf 'k1:v1\nk2:\n' | k -P -t "$topic" -p 0 -K : -Z -H a=1 -H a=2 -H b= || return
  same 'k1|v1|a=1,a=2,b=|0
k2||a=1,a=2,b=|1' "$(consume -t "$topic" -p 0 -f '%k|%s|%h|%o\n')" "keys, values, headers, offsets" || return
  same -1 "$(consume -t "$topic" -p 0 -o 1 -f '%S\n')" "length of a null value"
}
big() {
  local topic="kcat-big-$run"
  head -c 600000 /dev/urandom | base64 -w 0 >"$work/big"
  k -P -t "$topic" -p 0 "$work/big" || return
  consume -t "$topic" -p 0 -f '%s' | cmp - "$work/big"
}
idempotent() {
  local topic="kcat-idempotent-$run"
  seq 1 5000 | k -P -t "$topic" -p 0 -X enable.idempotence=true -X batch.num.messages=50 || return
  same "$(seq 1 5000)" "$(consume -t "$topic" -p 0)" records
}
transactional() {
  local topic="kcat-transactional-$run"
  seq 1 100 | k -P -t "$topic" -p 0 -X transactional.id="kcat-$run" || return
  same 100 "$(consume -t "$topic" -p 0 -X isolation.level=read_committed | wc -l)" records
}
offsets() {
  local topic="kcat-offsets-$run" from
  seq 1 10 | k -P -t "$topic" -p 0 -X acks=all || return
  same 8 "$(consume -t "$topic" -p 0 -o 7 -c 1)" "at an offset" || return
  same 9 "$(consume -t "$topic" -p 0 -o -2 -c 1)" "from the end" || return
  from=$(consume -t "$topic" -p 0 -o 5 -c 1 -f '%T\n') || return
  same 0 "$(consume -t "$topic" -p 0 -o s@0 -c 1 -f '%o\n')" "by time" || return
  [ -n "$from" ] || { echo "a record without a timestamp"; return 1; }
  same "$topic [0] offset 10" "$(k -Q -t "$topic:0:-1")" "the end, asked for" || return
  same "$topic [0] offset 0" "$(k -Q -t "$topic:0:-2")" "the beginning, asked for"
}
groups() {
  local topic="kcat-groups-$run" group="kcat-$run"
  seq 1 100 | k -P -t "$topic" -X acks=all || return
  same 100 "$(k -G "$group" -q -e -X fetch.wait.max.ms=100 -X auto.offset.reset=earliest -X session.timeout.ms=6000 "$topic" | wc -l)" "records of the first" || return
  seq 101 110 | k -P -t "$topic" -X acks=all || return
  same "$(seq 101 110)" "$(k -G "$group" -q -e -X fetch.wait.max.ms=100 -X auto.offset.reset=earliest -X session.timeout.ms=6000 "$topic")" "records of the second"
}
list() {
  local topic="kcat-list-$run"
  echo v | k -P -t "$topic" || return
  k -L | grep -q "topic \"$topic\" with 1 partitions" || { k -L; return 1; }
  k -L -J -t "$topic" | grep -q '"leader":1' || { k -L -J -t "$topic"; return 1; }
}
wrong() {
  local said
  said=$(echo v | k -P -t 'no good' 2>&1) && { echo "a bad name was taken"; return 1; }
  grep -qi 'invalid topic' <<<"$said" || { echo "it does not say why: $said"; return 1; }
  said=$(consume -t "kcat-list-$run" -p 7 2>&1) && { echo "partition 7 was taken"; return 1; }
  grep -qi 'does not exist' <<<"$said" || { echo "it does not say why: $said"; return 1; }
}

for name in none gzip snappy lz4 zstd; do check "records: codec $name" codec "$name"; done
check "records: headers, keys, null values" shapes
check "records: 800 KB" big
check "records: idempotence keeps order and numbers" idempotent
check "transactions: committed records are seen" transactional
check "offsets: at, from the end, by time, asked for" offsets
check "groups: the second one goes on where the first stopped" groups
check "metadata: list" list
check "wrong use" wrong
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]

#!/usr/bin/env bash
# Brings Apache Kafka and the program of bench/kafka/src to DIR: DIR/libs has the jars, DIR/classes the program.
# `pelton-bench w9 --kafka DIR` runs them. What is there already and is of this pom.xml is left alone.
set -euo pipefail
if [ $# -ne 1 ]; then echo "usage: $0 DIR" >&2; exit 2; fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
for tool in mvn javac java; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install a JDK (17 or newer) and Maven" >&2; exit 1; }
done
if ! cmp -s "$here/pom.xml" "$dir/pom.xml"; then
  echo "fetching Apache Kafka into $dir"
  rm -rf "$dir/libs" "$dir/pom.xml"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir/libs"
  cp "$here/pom.xml" "$dir/pom.xml"
fi
rm -rf "$dir/classes"
javac -Xlint:all -Werror -proc:none -cp "$dir/libs/*" -d "$dir/classes" "$here"/src/*.java

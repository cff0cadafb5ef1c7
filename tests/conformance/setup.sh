#!/usr/bin/env bash
# Installs the clients of the conformance suites at the versions that each suite names, and compiles the programs that need it:
#   jars, packages and programs into $PELTON_CLIENTS/conformance, Python packages beside the others of $PELTON_PYTHON.
# What is there already and of the same manifest is left alone. `setup.sh SUITE...` prepares these suites only.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${PELTON_CLIENTS:?it says where the clients are installed; the Makefile sets it}"
: "${PELTON_PYTHON:?it names the Python of the clients; the Makefile sets it}"
to="$PELTON_CLIENTS/conformance"
mkdir -p "$to"

# fresh MANIFEST DIR: whether DIR was installed from this very manifest.
fresh() { cmp -s "$1" "$2/$(basename "$1")"; }

jars() {
  local suite=$1 dir="$to/$1"
  if ! fresh "$here/$suite/pom.xml" "$dir"; then
    echo "fetching the jars of $suite into $dir"
    rm -rf "$dir"
    mkdir -p "$dir"
    mvn -q -B -f "$here/$suite/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir/libs"
    cp "$here/$suite/pom.xml" "$dir/"
  fi
}

# compiled SUITE CLASSPATH OPTION...: the suite's own programs, unless they were compiled from these very sources.
compiled() {
  local suite=$1 classpath=$2
  shift 2
  if [ -d "$to/$suite/classes" ] && diff -rq "$here/$suite/src" "$to/$suite/sources" >/dev/null 2>&1; then return; fi
  rm -rf "$to/$suite/classes" "$to/$suite/sources"
  mkdir -p "$to/$suite/classes"
  javac -nowarn -proc:none "$@" -cp "$classpath" -d "$to/$suite/classes" "$here/$suite"/src/*.java
  cp -r "$here/$suite/src" "$to/$suite/sources"
}

packages() {
  local suite=$1 stamps
  # Inside of the virtual environment, so that they go when it goes.
  stamps="$(dirname "$(dirname "$PELTON_PYTHON")")/conformance/$suite"
  if ! fresh "$here/$suite/requirements.txt" "$stamps"; then
    echo "installing the Python packages of $suite"
    "$PELTON_PYTHON" -m pip install --quiet --disable-pip-version-check -r "$here/$suite/requirements.txt"
    mkdir -p "$stamps"
    cp "$here/$suite/requirements.txt" "$stamps/"
  fi
}

# Whether there is the Go that go.mod wants: in its folder a Go that is older fetches it, or says that it cannot.
has_go() { command -v go >/dev/null && (cd "$here" && go version >/dev/null 2>&1); }

program() {
  local suite=$1 go_wanted
  go_wanted=$(sed -n 's/^go //p' "$here/go.mod")
  if has_go; then
    mkdir -p "$to/$suite"
    (cd "$here" && go build -o "$to/$suite/conformance" "./$suite")
  else
    # What an earlier Go built would test an earlier suite.
    rm -f "$to/$suite/conformance"
    echo "skipped: no Go >= $go_wanted here for $suite"
  fi
}

node_modules() {
  local suite=$1 dir="$to/$1"
  mkdir -p "$dir"
  cp "$here/$suite"/*.js "$dir/"
  if ! fresh "$here/$suite/package-lock.json" "$dir"; then
    echo "installing the Node.js packages of $suite into $dir"
    cp "$here/$suite/package.json" "$here/$suite/package-lock.json" "$dir/"
    (cd "$dir" && npm ci --silent --no-audit --no-fund)
  fi
}

for suite in "${@:-all}"; do
  case "$suite" in
    all) "$0" java kafka-tools confluent-kafka kafka-python aiokafka kafkajs franz-go sarama kcat connect spring ;;
    java) jars java; compiled java "$to/java/libs/*" ;;
    # The jars of Apache Kafka 4.3.1 that the end-to-end tests have.
    kafka-tools) mkdir -p "$to/kafka-tools"; compiled kafka-tools "$PELTON_CLIENTS/java/*" ;;
    confluent-kafka | kafka-python | aiokafka) packages "$suite" ;;
    kafkajs) node_modules kafkajs ;;
    franz-go | sarama) program "$suite" ;;
    kcat) ;; # Debian's, which `make bootstrap` installs.
    connect) jars connect ;;
    # Spring finds the parameters of constructors by their names.
    spring) jars spring; compiled spring "$to/spring/libs/*" -parameters ;;
    *) echo "there is no suite $suite" >&2; exit 2 ;;
  esac
done

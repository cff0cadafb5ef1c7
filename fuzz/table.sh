#!/bin/sh
# The table of README.md from the logs of fuzz/run.sh: fuzz/table.sh DIRECTORY, where the logs of a target are called
# TARGET.*.log. Executions and seconds add up over the logs; coverage, features and corpus are those of the last.
set -eu
cd "${1:?usage: fuzz/table.sh DIRECTORY}"
echo '| Target | Seconds | Executions | Executions/s | Edges | Features | Corpus | Peak memory (MiB) |'
echo '|---|--:|--:|--:|--:|--:|--:|--:|'
for target in $(ls -- *.log | cut -d. -f1 | sort -u); do
  cat -- "$target".*.log | awk -v target="$target" '
    / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "ft:") features = $(i + 1)
                                          if ($i == "corp:") corpus = $(i + 1) } }
    /^Done [0-9]+ runs in/ { runs += $2; seconds += $5 }
    /^stat::peak_rss_mb:/ { if ($2 > peak) peak = $2 }
    END { printf "| `%s` | %d | %d | %d | %d | %d | %s | %d |\n",
                 target, seconds, runs, runs / (seconds ? seconds : 1), edges, features, corpus, peak }'
done

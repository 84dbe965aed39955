#!/bin/sh
# Draw the passwords of the services of compose.yaml, once, into .env beside it, which its owner alone may read.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
    echo "infra/compose/.env is there already; what it holds is in use." >&2
    exit 0
fi
umask 077
draw() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
printf 'POSTGRES_PASSWORD=%s\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' "$(draw 24)" "$(draw 10)" "$(draw 24)" > .env.new
mv .env.new .env

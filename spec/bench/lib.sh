# What `run` and `live` share; both source it. They set: here, this folder; servers, a list like "ceiling,neap".
# shellcheck shell=bash disable=SC2034,SC2154 # set here for them, set by them for this
root=$(cd "$here/../.." && pwd)
neap=${NEAP:-$root/build/neap}
server_core=${SERVER_CORE:-0}
client_core=${CLIENT_CORE:-1}
modules=/usr/lib/nginx/modules
start_timeout_s=10
tmp=
declare -A pid port

say() { echo "bench: $*" >&2; }
die() { say "$*"; exit 1; }

# --- tools ------------------------------------------------------------------------------------------------------------

is_chosen() { [[ ",$servers," == *",$1,"* ]]; }
nginx_path() { PATH=$PATH:/usr/sbin command -v nginx; }

install_packages() { # what else can be done, package...
  local instead=$1 sudo=
  shift
  [ $# -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || sudo=$(command -v sudo) || die "please install: $* ($instead)"
  say "installing $*"
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq -y --no-install-recommends "$@" >&2 ||
    die "apt-get could not install: $* (try apt-get update, or $instead)"
}

# Builds build/bench/NAME. On Debian 12 some libraries are unpacked under build/deps; elsewhere the compiler finds them.
compile() { # name, source file or flag...
  local name=$1 dir flags=()
  shift
  for dir in "$root"/build/deps/usr/lib/*/; do
    [ -d "$dir" ] && flags=(-I"$root/build/deps/usr/include" -L"$dir" "-Wl,-rpath,$dir")
  done
  mkdir -p "$root/build/bench"
  (cd "$here" && "${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -o "$root/build/bench/$name" "${flags[@]}" "$@")
}

# --- servers ----------------------------------------------------------------------------------------------------------

can_connect() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() { # name command...
  local name=$1
  shift
  : >"$tmp/$name.out" # await reads it, maybe before the server has begun
  taskset -c "$server_core" "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" &
  pid[$name]=$!
}

# Asks once every 50 ms: sets port[name] when the server is ready.
await() { # name
  local name=$1 deadline=$((SECONDS + start_timeout_s)) known=${port[$1]:-}
  while [ $SECONDS -le $deadline ] && kill -0 "${pid[$name]}" 2>/dev/null; do
    [ -n "$known" ] || port[$name]=$(sed -n 's|.*listening on http://127.0.0.1:\([0-9]*\).*|\1|p' "$tmp/$name.out")
    [ -n "${port[$name]}" ] && can_connect "${port[$name]}" && return
    sleep 0.05
  done
  cat "$tmp/$name.err" >&2
  die "$name did not start"
}

start_neap() { # app [options...]
  [ -x "$neap" ] || die "no $neap: build it first, name another with NEAP=, or leave it out with -s"
  start neap "$neap" run "$here/$1" --listen 127.0.0.1:0 --workers 1 "${@:2}"
}

start_nginx() { # name configuration
  local name=$1
  port[$name]=$((20000 + RANDOM % 10000)) # nginx cannot tell which port it got for 0
  while can_connect "${port[$name]}"; do port[$name]=$((port[$name] + 1)); done
  sed -e "s|@port@|${port[$name]}|" -e "s|@modules@|$modules|" "$here/$2" >"$tmp/$name.conf"
  start "$name" "$(nginx_path)" -p "$tmp" -c "$tmp/$name.conf" -e stderr
}

stop() { # name
  kill "${pid[$1]}" 2>/dev/null || true
  wait "${pid[$1]}" || true
  unset "pid[$1]" "port[$1]"
}

stop_all() {
  local name
  for name in "${!pid[@]}"; do kill "${pid[$name]}" 2>/dev/null || true; done
  wait
  [ -z "$tmp" ] || rm -rf "$tmp"
}

# The process and its children (nginx's worker), a line each.
pids() { # server
  echo "${pid[$1]}"
  pgrep -P "${pid[$1]}" || true
}

machine() {
  local model
  model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)
  echo "$(date -u +%Y-%m-%d), ${model:-$(uname -m)}, $(nproc) cores, Linux $(uname -r | cut -d- -f1)"
}

# Two cores, a folder for the servers' files, and nothing left behind.
prepare() {
  [ "$(nproc)" -ge 2 ] || die "two cores are needed: one for the servers, one for the client"
  tmp=$(mktemp -d)
  chmod 755 "$tmp"
  trap stop_all EXIT
  trap 'exit 130' INT TERM
}

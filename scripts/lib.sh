# Shared by the scripts of this folder: words, packages, waiting. Sourced, not run.

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
[ -t 2 ] || say() { printf '==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Runs a command as root, through sudo where needed.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -E env "PATH=$PATH" "$@"; fi
}

# Installs the Debian packages of which a command (or file) is missing: need COMMAND PACKAGE [COMMAND PACKAGE…]
need() {
  local missing=()
  while [ $# -gt 0 ]; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" > /dev/null || [ -e "$1" ] || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || die "please install: ${missing[*]}"
  say "installing ${missing[*]}"
  as_root apt-get update -q > /dev/null
  # Services are started by whoever needs them, not by the packages.
  (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      trap 'as_root rm -f "$policy"' EXIT
      as_root sh -c 'printf "#!/bin/sh\nexit 101\n" > "$0" && chmod 755 "$0"' "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" > /dev/null
  )
}

# Whether a process runs. One that has ended stays in /proc until its parent asks, which not every machine's first
# process does.
runs() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }

# Ends a process and waits for its end, which is made sure of at last: finish PID SIGNAL SECONDS
finish() {
  kill "-$2" "$1" 2>/dev/null || return 0
  local left=$(( $3 * 20 ))
  while runs "$1" && [ "$left" -gt 0 ]; do left=$(( left - 1 )); sleep 0.05; done
  ! runs "$1" || kill -KILL "$1" 2>/dev/null || true
}

# Waits until a command succeeds: until_true WHAT SECONDS COMMAND…
until_true() {
  local what=$1 left=$(( $2 * 10 )); shift 2
  until "$@" > /dev/null 2>&1; do
    left=$(( left - 1 ))
    [ "$left" -gt 0 ] || die "$what: gave up waiting"
    sleep 0.1
  done
}

# The Rust toolchain that rust-toolchain.toml pins is fetched by rustup on the first use of cargo.
need_rust() {
  command -v cargo > /dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo > /dev/null || die "a Rust toolchain is needed: see https://rustup.rs"
}

#!/usr/bin/env bash
# Makes the local image redis:3.2 out of this host's redis-server, its libraries and a static busybox: for machines that
# can't pull images. It runs as PID 1 with protected mode off, so that other hosts may talk to it. DOCKER_HOST names the
# engine when it is not the usual one; the image's name may be given.
set -euo pipefail

name=${1:-redis:3.2}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

server=$(readlink -f "$(command -v redis-server)") || { echo "redis.sh: redis-server is missing: apt-get install redis-server" >&2; exit 1; }
busybox=$(command -v busybox) || { echo "redis.sh: busybox is missing: apt-get install busybox-static" >&2; exit 1; }

mkdir -p "$root"/{bin,usr/bin,data,tmp,etc,proc,sys,dev}
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
for applet in sh ls cat echo sleep env id ps kill; do ln -s busybox "$root/bin/$applet"; done
cp "$server" "$root/usr/bin/redis-server"
cli=$(readlink -f "$(command -v redis-cli || true)") && [ -x "$cli" ] && cp "$cli" "$root/usr/bin/redis-cli"
for binary in "$root"/usr/bin/*; do
  ldd "$binary" | grep -o '/[^ )]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -nL "$library" "$root$library"
  done
done
echo 'root:x:0:0:root:/data:/bin/sh' > "$root/etc/passwd"

tar -C "$root" -c . | docker import \
  --change 'WORKDIR /data' \
  --change 'EXPOSE 6379' \
  --change 'CMD ["/usr/bin/redis-server", "--protected-mode", "no", "--save", ""]' \
  - "$name" > /dev/null
echo "$name"

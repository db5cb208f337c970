#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run-qemu-tests.sh FIRMWARE.BIN CLIENT.ELF [GUEST DIRECTORY]
# The image under QEMU: the client interface, the prompt, kernels that cannot
# be booted, and (if the guest is built) Linux from vmlinux and from zImage.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$1 client=$2 guest=${3:-}
# Not in /tmp, which other programs tidy.
work=$(mktemp -d "$PWD/firmware-tests.XXXXXX"); trap 'rm -rf "$work"' EXIT
failed=0

# expect NAME "sentence" qemu-boot arguments...: the console must show it
expect() {
  local name=$1 want=$2; shift 2
  local input=/dev/null
  [ -e "$work/input" ] && input=$work/input
  # Emptied here, not by the child: what the last boot said must not pass for this one's words, and a child
  # that is killed before it is another program would run the trap.
  : >"$work/out"
  "$here/qemu-boot.sh" "$image" "$@" <"$input" >"$work/out" 2>&1 &
  local pid=$! i
  for ((i = 0; i < 300; i++)); do
    if grep -aqF -- "$want" "$work/out"; then break; fi
    kill -0 $pid 2>/dev/null || break
    sleep 0.1
  done
  kill $pid 2>/dev/null; wait $pid 2>/dev/null
  if grep -aqF -- "$want" "$work/out"; then
    echo "ok   $name"
  else
    echo "FAIL $name: no \"$want\" in:"; tail -n 25 "$work/out"; failed=1
  fi
  rm -f "$work/input"
}
# poke FILE OFFSET BYTES...: a changed copy of the client
poke() {
  cp "$client" "$work/$1"
  printf "$3" | dd of="$work/$1" bs=1 seek="$2" conv=notrunc status=none
}

expect "client interface" "checks, all passed" -k "$client"
expect "program exception" "unexpected exception 700 at 00000000010" -k "$client" -a trap
expect "client returns" "The client program has returned" -k "$client" -a return
expect "exit powers off" "The client program has ended" -k "$client"
head -c 300000 /dev/urandom >"$work/initrd"
expect "initial RAM disk" "Initial RAM disk: 292 KB at 0x1010000" -k "$client" -i "$work/initrd"
expect "client interface with it" "checks, all passed" -k "$client" -i "$work/initrd"

expect "RAM disk outside" "the initial RAM disk (0x1fbb0000 to 0x1fbf93e0) lies outside the real mode area of 24 MB" \
  -r 24 -k "$client" -i "$work/initrd"
printf 'dev /memory@0\r.properties\r' >"$work/input"
expect "prompt" "device_type                   memory"
expect "no kernel" "No kernel is configured"

: >"$work/empty"
printf 'MZ this is not a kernel at all' >"$work/text"
gzip -c "$client" >"$work/packed"
expect "not ELF" "the kernel image is not an ELF file (it begins with 4d 5a 20 74)" -k "$work/text"
expect "compressed" "compressed with gzip" -k "$work/packed"
head -c 20 "$client" >"$work/short"
expect "short header" "its ELF header is cut off after 20 bytes" -k "$work/short"
head -c 1000 "$client" >"$work/cut"
expect "cut off" "is damaged: segment" -k "$work/cut"
poke little 5 '\x01'
expect "little-endian" "the kernel image is little-endian" -k "$work/little"
poke class 4 '\x07'
expect "bad class" "its ELF header has class 7 and byte order 2" -k "$work/class"
poke machine 18 '\x00\x3e'
expect "other machine" "the kernel image is for ELF machine 62, not for PowerPC (20)" -k "$work/machine"
poke type 16 '\x00\x01'
expect "object file" "is an ELF file of type 1, not an executable" -k "$work/type"
poke entry 24 '\x70\x00\x00\x00'
expect "bad entry" "its entry point 0x70000000 lies outside its segments" -k "$work/entry"
poke phoff 28 '\x7f\xff\xff\x00'
expect "bad program headers" "program headers reach beyond the end of the file" -k "$work/phoff"
poke phnum 44 '\xff\xff'
expect "too many program headers" "program headers reach beyond the end of the file" -k "$work/phnum"
poke phnone 44 '\x00\x00'
expect "no program headers" "it has no segment to load" -k "$work/phnone"
poke memsz 72 '\x60\x00\x00\x00'   # p_memsz of the first program header at 52
expect "too large" "the kernel image is too large" -k "$work/memsz"
poke small 72 '\x00\x00\x00\x04'
expect "memory smaller than file" "segment 0 has impossible sizes" -k "$work/small"

if [ -n "$guest" ] && [ -e "$guest/vmlinux" ]; then
  args=(-i "$guest/initramfs.cpio.gz" -a "console=hvc0 rdinit=/init")
  expect "Linux vmlinux" "Run /init as init process" -k "$guest/vmlinux" "${args[@]}"
  expect "Linux vmlinux, 2 processors" "Brought up 1 node, 2 CPUs" -c 2 -k "$guest/vmlinux" "${args[@]}"
  expect "Linux zImage" "Run /init as init process" -k "$guest/zImage" "${args[@]}"
  expect "Linux, 2 GB" "Run /init as init process" -m 2048 -k "$guest/vmlinux" "${args[@]}"
  expect "RMA too small" "do not fit into the real mode area of 24 MB" -r 24 -k "$guest/vmlinux"
fi
exit $failed

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the partition firmware as Baton would, under QEMU's pseries machine: the
# image at 0, our device tree at 0x200000, the kernel file at 0x400000, the
# initial RAM disk high in the real mode area.
#   qemu-boot.sh FIRMWARE.BIN [-k KERNEL] [-i INITRD] [-a BOOTARGS] [-m MB] [-r RMA MB] [-c CPUS] [-t SECONDS]
# The serial console is this script's standard input and output.
# The shipped image is used; only the word at 0x100 (a no-op kept for this) is
# made to load r3, because QEMU passes its own device tree there.
set -euo pipefail
image=$1; shift
kernel= initrd= bootargs= mb=512 rma= cpus=1 seconds=60
while getopts k:i:a:m:r:c:t: o; do
  case $o in
    k) kernel=$OPTARG;; i) initrd=$OPTARG;; a) bootargs=$OPTARG;;
    m) mb=$OPTARG;; r) rma=$OPTARG;; c) cpus=$OPTARG;; t) seconds=$OPTARG;; *) exit 2;;
  esac
done
# Not in /tmp, which other programs tidy.
work=$(mktemp -d "$PWD/firmware-boot.XXXXXX"); trap 'rm -rf "$work"' EXIT
machine=pseries,max-cpu-compat=power6,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off
qemu=(qemu-system-ppc64 -cpu power7 -smp "$cpus" -m "$mb" -nographic -nodefaults -vga none -serial stdio)
"${qemu[@]}" -M $machine,dumpdtb="$work/tree.dtb" </dev/null >/dev/null 2>&1
dtb=$work/tree.dtb
for name in qemu,boot-kernel stdout-path linux,stdout-path; do fdtput -d "$dtb" /chosen $name 2>/dev/null || true; done
fdtput -t s "$dtb" / ibm,partition-name qemu
fdtput -t i "$dtb" / ibm,partition-no 7
[ -z "$bootargs" ] || fdtput -t s "$dtb" /chosen bootargs "$bootargs"
[ -z "$rma" ] || fdtput -t x "$dtb" /memory@0 reg 0 0 0 "$(printf %x $((rma << 20)))"
loaders=()
if [ -n "$kernel" ]; then
  fdtput -t x "$dtb" /chosen baton,boot-kernel 0 400000 0 "$(printf %x "$(stat -Lc %s "$kernel")")"
  loaders+=(-device "loader,file=$kernel,addr=0x400000,force-raw=on")
fi
if [ -n "$initrd" ]; then
  size=$(stat -Lc %s "$initrd")
  start=$(( (mb * 1048576 - 0x400000 - size) / 65536 * 65536 ))
  fdtput -t x "$dtb" /chosen linux,initrd-start 0 "$(printf %x $start)"
  fdtput -t x "$dtb" /chosen linux,initrd-end 0 "$(printf %x $((start + size)))"
  loaders+=(-device "loader,file=$initrd,addr=$start,force-raw=on")
fi
loaders+=(-device "loader,file=$dtb,addr=0x200000,force-raw=on")
cp "$image" "$work/image.bin"
[ "$(od -An -tx1 -j256 -N4 "$image" | tr -d ' ')" = 60000000 ] || { echo "no no-op at 0x100 of $image" >&2; exit 1; }
printf '\x3c\x60\x00\x20' | dd of="$work/image.bin" bs=1 seek=256 conv=notrunc status=none   # lis r3,0x20
timeout --foreground "$seconds" "${qemu[@]}" -M $machine -bios "$work/image.bin" "${loaders[@]}" <&0 &
child=$!
trap 'kill $child 2>/dev/null || true; wait $child || true; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT
wait $child

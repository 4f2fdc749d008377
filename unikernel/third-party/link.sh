#!/bin/sh
# SPDX-License-Identifier: MIT
# link.sh IMAGE OUTPUT [LIBSSH.a]: links an image from the archives in this folder, as the build does; or
# with another libssh, as its licence (LGPL 2.1, section 6) lets you. OUTPUT.symbols is OUTPUT not stripped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
image=$1 output=$2 libssh=${3:-$here/libph_tp_libssh.a}
common="-nostdlib -z noexecstack --gc-sections --build-id=none"
linker="${LD:-ld} -static"
case $image in
packhorse.elf) common="$common -T $here/link.ld" ;;
packhorse.hvt | packhorse.spt)
	linker="x86_64-solo5-none-static-ld -z solo5-abi=${image#packhorse.}"
	common="${common#-nostdlib }"
	;;
esac
# shellcheck disable=SC2086 # lists of words
$linker $common -Map "$output.map" -o "$output.symbols" \
	--whole-archive "$here/libobjects-$image.a" --no-whole-archive \
	--start-group "$here/libph_ssh.a" "$here/libph_verify.a" "$here/libph_services.a" "$here/libph_upload_pack.a" \
	"$here/libph_upload_archive.a" "$here/libph_receive_pack.a" "$here/libph_maintenance.a" \
	"$here/libph_admin.a" "$here/libph_protocol.a" "$here/libph_store_mem.a" \
	"$here/libph_store_disk.a" "$here/libph_store.a" "$here/libph_libpack.a" "$here/libph_alloc_libc.a" \
	"$libssh" "$here/libph_tp_mbedcrypto.a" "$here/libph_tp_zlib.a" "$here/libph_tp_lwip.a" \
	"$here/libc.a" "$here/libgcc.a" --end-group
strip -o "$output" "$output.symbols"

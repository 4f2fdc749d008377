# SPDX-License-Identifier: MIT
# Shared by the scripts: where things are, and installing what is missing.
top=$(cd "$(dirname "$0")/.." && pwd)
jobs=$(nproc)

say() { printf '%s\n' "$*" >&2; }

# install PACKAGE...: Debian packages that are not there yet.
install() {
	missing=
	for package in "$@"; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
		[ "$state" = installed ] || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null 2>&1 || {
			say "these packages are missing, and neither root nor sudo is at hand:$missing"
			exit 1
		}
		as_root=sudo
	fi
	say "installing:$missing"
	# shellcheck disable=SC2086 # the lists are words
	$as_root env DEBIAN_FRONTEND=noninteractive sh -c "
		apt-get install -y -qq --no-install-recommends $missing ||
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; }" >&2
}

build_packages="gcc cmake ninja-build pkg-config libc6-dev libssh-dev libmbedtls-dev zlib1g-dev libuv1-dev libsodium-dev libdeflate-dev"
unikernel_packages="gcc libc6-dev make cmake ninja-build python3 patch"
test_packages="g++ libcmocka-dev libgit2-dev git openssh-client python3 clang libclang-rt-14-dev clang-format clang-tidy binutils util-linux"

# configure FOLDER OPTION...: cmake, quiet unless it fails.
configure() {
	folder=$1
	shift
	log=$(mktemp)
	cmake -S "$top" -B "$folder" -G Ninja "$@" >"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
	rm -f "$log"
}

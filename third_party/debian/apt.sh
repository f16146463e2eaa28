# Sourced by the scripts beside it: packages without root, and without a change
# to what apt and dpkg know of this machine.
# shellcheck shell=bash

# private_apt FOLDER: an apt that keeps its lists and files in FOLDER; its options
# are "${apt[@]}". The machine's apt.conf (proxies, credentials) still applies.
private_apt() {
  mkdir -p "$1"/{lists,cache/archives}/partial
  apt=(-qq -o Dir::State::Lists="$1/lists" -o Dir::Cache="$1/cache"
    -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)"
    -o Acquire::Languages=none -o Acquire::Retries=3)
}

# closure PACKAGE...: the packages and what they depend on, less what is installed:
# lines of name, version and size.
closure() {
  # Lines of "'URI' name_version_arch.deb size hash".
  apt-get "${apt[@]}" install --print-uris -y "$@" | grep "^'" |
    awk '{ split($2, part, "_"); print part[1], part[2], $3 }' | sort -u
}

# unpack FOLDER ROOT: unpacks FOLDER's packages into ROOT, and deletes them.
unpack() {
  find "$1" -name '*.deb' -print0 |
    xargs -0 -n1 -P"$(nproc)" sh -c 'dpkg-deb -x "$1" "$0" && rm "$1" || exit 255' "$2" # 255 stops xargs
}

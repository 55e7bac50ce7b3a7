# rtlua in an image: `docker build -t rtlua .`, then
#
#     docker run --rm -v "$PWD/scenes:/work:ro" -v "$PWD:/out" --user "$(id -u):$(id -g)" \
#       rtlua rtlua render cornell.lua -o /out/cornell.png
#
# /work is a folder of scenes, /out takes what they make. What needs the network comes first in its stage: it is made
# anew only when the list of packages changes.

FROM debian:bookworm-slim AS tools
WORKDIR /source
COPY scripts/setup.sh scripts/
RUN scripts/setup.sh install build

FROM debian:bookworm-slim AS packages
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates libcurl4 libjpeg62-turbo libopenexr-3-1-30 libpng16-16 lua-argparse lua-cjson lua-filesystem lua5.4 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

FROM tools AS build
COPY . .
RUN make -j "$(nproc)" CFLAGS= LDFLAGS=-s WERROR=1 install DESTDIR=/installed

FROM packages
COPY --from=build /installed/ /
RUN useradd --uid 1000 --create-home rtlua && install -d -m 1777 /work /out
USER rtlua
WORKDIR /work
CMD ["rtlua", "--help"]

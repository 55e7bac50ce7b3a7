# rtlua. `make demo` renders the showcase and `make test` runs the specs; both set the machine up first
# (scripts/setup.sh).
#
#   BUILD=release|debug|asan|tsan  the variant; each has objects of its own below build/, and rtlua.so is the last built
#   WERROR=1                  warnings are errors (CI)
#   CC CFLAGS LDFLAGS         the user's come first, what exactness and speed need after them
#   LUA_INCDIR LIBFLAG        where lua.h is and how a module is linked, as LuaRocks passes them
#   PREFIX DESTDIR            where install puts things
#   V=1                       show the commands
#
# No target but demo and test ever calls a package manager.

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

ifeq ($(origin CC),default)
CC := cc
endif
BUILD ?= release
CFLAGS ?= -g
UNAME := $(shell uname -s)

# ---- What it stands on -----------------------------------------------------------------------------------------------

PKG_CONFIG ?= pkg-config
package_flags = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)
is_54 = $(filter 5.4%,$(call package_flags,--modversion $(1)))
LUA_PACKAGE := $(firstword $(foreach name,lua5.4 lua-5.4 lua54 lua,$(if $(call is_54,$(name)),$(name))))
LUA_CFLAGS := $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(if $(LUA_PACKAGE),$(call package_flags,--cflags $(LUA_PACKAGE))))
PNG_CFLAGS := $(if $(PNG_INCDIR),-I$(PNG_INCDIR),$(call package_flags,--cflags libpng))
PNG_LIBS := $(if $(PNG_LIBDIR),-L$(PNG_LIBDIR) )$(or $(call package_flags,--libs libpng),-lpng)
CURL_CFLAGS := $(if $(CURL_INCDIR),-I$(CURL_INCDIR),$(call package_flags,--cflags libcurl))
CURL_LIBS := $(if $(CURL_LIBDIR),-L$(CURL_LIBDIR) )$(or $(call package_flags,--libs libcurl),-lcurl)
# Optional. Of OpenEXR the C core alone, which came with 3.1.
EXR_LIBS := $(filter -L% -lOpenEXRCore%,$(call package_flags,--libs OpenEXR))
EXR_CFLAGS := $(if $(EXR_LIBS),-DRT_HAVE_OPENEXR $(filter -I%,$(call package_flags,--cflags OpenEXR)))
JPEG_LIBS := $(call package_flags,--libs libjpeg)
JPEG_CFLAGS := $(if $(JPEG_LIBS),-DRT_HAVE_LIBJPEG $(call package_flags,--cflags libjpeg))
IMAGE_CFLAGS = $(PNG_CFLAGS) $(EXR_CFLAGS) $(JPEG_CFLAGS)

LUA ?= $(or $(shell command -v lua5.4),lua)
BUSTED ?= $(or $(shell command -v busted),busted)
LUACHECK ?= luacheck

# ---- Flags -----------------------------------------------------------------------------------------------------------
# Contraction would fuse a*b+c and change bits, so it is off, and after the user's flags. gcc 12's vectorizer of
# straight-line code drops the rounding of a double to a float between two conversions (spec/compiler_spec.lua), so it
# is off too. The other two change no value: they let the compiler drop errno and floating-point traps, neither of which
# is used here.

EXACT := -ffp-contract=off -fno-tree-slp-vectorize -fno-math-errno -fno-trapping-math
WARNINGS := -Wall -Wextra $(if $(WERROR),-Werror)
VARIANT.release := -O3
VARIANT.debug := -O0 -g
VARIANT.asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,float-cast-overflow \
  -fno-sanitize-recover=all
VARIANT.tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
ifeq ($(filter $(BUILD),release debug asan tsan),)
$(error BUILD=$(BUILD) is no variant: use release, debug, asan or tsan)
endif

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -std=c11 -D_GNU_SOURCE $(VARIANT.$(BUILD)) -fPIC -pthread \
  $(EXACT) $(WARNINGS) -Icore
LIBFLAG ?= $(if $(filter Darwin,$(UNAME)),-bundle -undefined dynamic_lookup,-shared)
LINK = $(CC) $(CFLAGS) $(LDFLAGS) $(filter -fsanitize%,$(VARIANT.$(BUILD))) $(LIBFLAG) -pthread

# ---- Building --------------------------------------------------------------------------------------------------------

OUT := build/$(BUILD)-$(notdir $(firstword $(CC)))
CORE := $(wildcard core/*.c core/*/*.c)
BINDINGS := $(wildcard bindings/*.c)
CORE_OBJECTS := $(CORE:%.c=$(OUT)/%.o)
BINDING_OBJECTS := $(BINDINGS:%.c=$(OUT)/%.o)

Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$@")

.PHONY: all demo test lint lint-format lint-c lint-lua lint-docs format print-exact docs bench install uninstall clean
.PHONY: faults cloud-demo FORCE
all: rtlua.so

# One module for all of Lua's, at the top, where ./rtlua looks: a copy of the variant that was asked for last.
rtlua.so: $(OUT)/rtlua.so build/variant
	@cp $< $@.tmp && mv $@.tmp $@

$(OUT)/rtlua.so: $(BINDING_OBJECTS) $(OUT)/librtcore.a
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(PNG_LIBS) $(EXR_LIBS) $(JPEG_LIBS) $(CURL_LIBS) -lm

$(OUT)/librtcore.a: $(CORE_OBJECTS) $(OUT)/sources
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(CORE_OBJECTS)

# What files that exist for one instruction set are compiled for, on x86-64 (core/base/isa.h; sha256.c).
ISA.kernel_avx2 := -mavx2 -mfma -mbmi
ISA.kernel_avx512 := -mavx2 -mfma -mbmi -mavx512f -mavx512vl
ISA.bsdfs_avx2 := $(ISA.kernel_avx2)
ISA.points_avx2 := $(ISA.kernel_avx2)
ISA.sets_avx2 := $(ISA.kernel_avx2)
ISA.vertices_avx2 := $(ISA.kernel_avx2)
ISA.sha256_x86 := -msha -msse4.1
IS_X86 := $(shell $(CC) -dumpmachine 2>/dev/null | grep -c ^x86_64)

$(OUT)/core/%.o: core/%.c $(OUT)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(filter 1,$(IS_X86)),$(ISA.$(*F))) -fvisibility=hidden $(IMAGE_CFLAGS) $(CURL_CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/bindings/%.o: bindings/%.c $(OUT)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(LUA_CFLAGS) -MMD -MP -c -o $@ $<

# Files that change only when what they say does: objects follow the flags, the archive the list of sources, and
# rtlua.so the variant. Before the first build of a variant, what it needs is looked for.
HEADER_FLAGS = $(LUA_CFLAGS) $(IMAGE_CFLAGS) $(CURL_CFLAGS)
MISSING = $(shell CC="$(CC)" HEADER_FLAGS="$(HEADER_FLAGS)" scripts/setup.sh missing build)
say_missing = $(if $(1),$(error rtlua needs packages that are not here: apt-get install $(strip $(1))))
keep = @mkdir -p $(@D); echo '$(subst ','\'',$(1))' | cmp -s - $@ || echo '$(subst ','\'',$(1))' >$@
$(OUT)/flags: FORCE
	$(if $(wildcard $@),,$(call say_missing,$(MISSING)))$(call keep,$(COMPILE) $(HEADER_FLAGS) $(LINK))
$(OUT)/sources: FORCE
	$(call keep,$(CORE))
build/variant: FORCE
	$(call keep,$(OUT))

-include $(CORE_OBJECTS:.o=.d) $(BINDING_OBJECTS:.o=.d)

# ---- A newcomer's two commands ---------------------------------------------------------------------------------------

JOBS := -j$(or $(shell getconf _NPROCESSORS_ONLN 2>/dev/null),2)

demo:
	@scripts/setup.sh install build
	@$(MAKE) $(JOBS) all
	./rtlua scenes/showcase.lua -o showcase.png
	@echo "$(CURDIR)/showcase.png"

# SPECS=spec/one_spec.lua runs one file, TAGS="--tags=real" those that start real machines, Docker and sshd alone, and
# TAGS="--exclude-tags=real" all others. A sanitizer build is run by an interpreter of its own kind
# (spec/support/lua_host.c), which stands first in the PATH, so that every ./rtlua that a spec starts is too. gcc 12's
# LeakSanitizer leaves thread-local storage alone: scanning it, it crashes at the exit of some processes.
HOST.asan := $(OUT)/bin/lua5.4
HOST.tsan := $(OUT)/bin/lua5.4
RUN.asan = env PATH="$(CURDIR)/$(OUT)/bin:$$PATH" UBSAN_OPTIONS=print_stacktrace=1 \
  ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1 LSAN_OPTIONS=use_tls=0:print_suppressions=0
RUN.tsan = setarch -R env PATH="$(CURDIR)/$(OUT)/bin:$$PATH" RTLUA_SPEC_TSAN=1

test:
	@scripts/setup.sh install test
	@$(MAKE) $(JOBS) all $(HOST.$(BUILD))
	$(RUN.$(BUILD)) $(or $(HOST.$(BUILD)),$(LUA)) $(BUSTED) $(TAGS) $(SPECS)

$(OUT)/bin/lua5.4: spec/support/lua_host.c $(OUT)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(LUA_CFLAGS) -o $@ $< $(call package_flags,--libs $(LUA_PACKAGE)) -lm

# ---- For who works on it ---------------------------------------------------------------------------------------------

C_FILES = $(CORE) $(BINDINGS) $(wildcard core/*.h core/*/*.h bindings/*.h) spec/support/lua_host.c
TIDY_FLAGS = -std=c11 -D_GNU_SOURCE -Icore $(HEADER_FLAGS)

lint: lint-format lint-c lint-lua lint-docs
lint-format:
	clang-format --dry-run -Werror $(C_FILES)
lint-c:
	printf '%s\n' $(CORE) $(BINDINGS) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- $(TIDY_FLAGS)' clang-tidy
lint-lua:
	$(LUACHECK) --quiet rtlua .busted .luacheckrc *.rockspec scripts scenes spec
lint-docs: all
	$(LUA) scripts/docs.lua --check

format:
	clang-format -i $(C_FILES)

print-exact:
	@echo "$(EXACT)"

docs: all
	$(LUA) scripts/docs.lua

# Every case of spec/faults_spec.lua, of which `make test` runs a sample.
faults: all
	RTLUA_FAULTS=all $(LUA) $(BUSTED) spec/faults_spec.lua

# The whole pipeline, on machines of a local cloud that really boot: needs Docker and root, and no account.
cloud-demo: all
	$(LUA) spec/support/cloud/demo.lua

bench: all
	$(LUA) spec/bench/bench.lua
	$(LUA) spec/bench/traversal.lua
	$(LUA) spec/bench/million.lua

# ---- Installing ------------------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4
SHAREDIR ?= $(PREFIX)/share/rtlua
SCENEDIR ?= $(SHAREDIR)/scenes

# What the image of rented machines is built from (Dockerfile), so that an installed rtlua can build it, too.
SOURCES := Dockerfile .dockerignore LICENSE Makefile bindings core docs rtlua scenes scripts types

install: all
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(SCENEDIR)" "$(DESTDIR)$(SHAREDIR)/scripts"
	install -d "$(DESTDIR)$(SHAREDIR)/types" "$(DESTDIR)$(SHAREDIR)/docs" "$(DESTDIR)$(SHAREDIR)/source"
	install -m 755 rtlua "$(DESTDIR)$(BINDIR)/rtlua"
	find scripts/rtlua -name '*.lua' | while read -r file; do target="$(DESTDIR)$(LUADIR)/$${file#scripts/}"; \
	  install -d "$${target%/*}" && install -m 644 "$$file" "$$target" || exit 1; done
	tar -c --exclude='*.png' $(SOURCES) | tar -x -C "$(DESTDIR)$(SHAREDIR)/source"
	install -m 644 scripts/cloud.lua "$(DESTDIR)$(SHAREDIR)/scripts/"
	install -m 755 rtlua.so "$(DESTDIR)$(LIBDIR)/rtlua.so"
	install -m 644 scenes/*.lua "$(DESTDIR)$(SCENEDIR)/"
	install -m 644 types/rtlua.lua "$(DESTDIR)$(SHAREDIR)/types/"
	install -m 644 docs/*.md "$(DESTDIR)$(SHAREDIR)/docs/"

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/rtlua" "$(DESTDIR)$(LIBDIR)/rtlua.so"
	rm -rf "$(DESTDIR)$(LUADIR)/rtlua" "$(DESTDIR)$(SCENEDIR)"
	rm -rf $(foreach name,types docs scripts source,"$(DESTDIR)$(SHAREDIR)/$(name)")
	-rmdir "$(DESTDIR)$(SHAREDIR)" 2>/dev/null

clean:
	rm -rf build rtlua.so

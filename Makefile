# SPDX-License-Identifier: MIT
# A thin front for Meson and Ninja: the build itself is described in meson.build files only.

BUILD ?= build
MESON_OPTIONS ?=

.PHONY: all bench demo check check-long fuzz format format-check clean setup modes install

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

# The first build checks that Debian's packages are there and installs what is missing.
$(BUILD)/build.ninja:
	@scripts/packages.sh build
	@meson setup $(BUILD) $(MESON_OPTIONS)

# Boots Debian's own kernel to a shell in a virtual machine. Builds no more than that needs.
demo: $(BUILD)/build.ninja
	@scripts/packages.sh demo
	@ninja -C $(BUILD) origami origami-engine
	@guests/demo/build.sh $(BUILD)/demo
	@$(BUILD)/origami run --kernel $(BUILD)/demo/vmlinuz --initrd $(BUILD)/demo/initrd.cpio.gz \
	    --cmdline 'console=ttyS0 quiet' --memory 512M --rng --disk $(BUILD)/demo/disk.img --net user

# All tests, under 15 minutes on two cores; ends with 'N passed, N failed'.
check:
	@scripts/packages.sh check
	@$(MAKE) --no-print-directory all
	@guests/demo/build.sh $(BUILD)/demo
	@scripts/check.sh $(BUILD)

# The same with the counts the project promises (hours).
check-long:
	@scripts/packages.sh check
	@$(MAKE) --no-print-directory all
	@guests/demo/build.sh $(BUILD)/demo
	@ORIGAMI_LONG=1 scripts/check.sh $(BUILD)

# Builds and tests every mode in a tree of its own: debug, asan, ubsan, hostile, clang.
modes:
	@scripts/modes.sh

fuzz:
	@scripts/packages.sh fuzz
	@scripts/fuzz.sh

# The guest benchmark on bare Linux, under QEMU's TCG and here: ratios (BENCH='--quick', see bench/README.md).
bench: $(BUILD)/build.ninja
	@scripts/packages.sh bench
	@ninja -C $(BUILD) origami origami-engine
	@python3 bench/bench.py --build $(BUILD) $(BENCH)
	@python3 bench/io.py --build $(BUILD) $(BENCH_IO)

format:
	@scripts/format.sh -i

format-check:
	@scripts/format.sh --dry-run -Werror

install: all
	@meson install -C $(BUILD)

clean:
	rm -rf build build-*

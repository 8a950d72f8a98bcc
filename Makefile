# The two commands of the README; each sets up what it needs.
#   make run  [PHOTO=path] [EXTRAS=demo]
#   make test [TESTS=tests/renderer_test.py]
PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/quick
PHOTO ?=
# landmarks: dlib's 68-point predictor (100 MB, research use). Without it photos
# are aligned by the detector's box.
EXTRAS ?= demo,landmarks
TESTS ?=

BIN := $(VENV)/bin
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: run test lint clean

SHOWN = $(if $(PHOTO),"$(PHOTO)",$$($(BIN)/python -c \
  "import skimage, os; print(os.path.join(skimage.data_dir, 'astronaut.png'))"))

run: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/python -m facerec_jax.reconstruct --input=$(SHOWN) \
	  --output=$(WORKDIR)/released
	$(BIN)/python -m facerec_jax.main --config=configs/resnet.py:quick \
	  --workdir=$(WORKDIR)
	$(BIN)/python -m facerec_jax.main --mode=eval --workdir=$(WORKDIR)
	$(BIN)/python -m facerec_jax.reconstruct --checkpoint=$(WORKDIR) \
	  --input=$(SHOWN) --output=$(WORKDIR)/reconstruction

test: $(VENV)/.installed-test,landmarks
	$(BIN)/python -m pytest $(or $(TESTS),-n logical --dist loadfile)

lint: $(VENV)/.installed-test,landmarks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/.installed-%: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch "$@"

clean:
	rm -rf $(VENV) .cache build *.egg-info

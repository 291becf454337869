# Every command works from a fresh clone with nothing set up, in a folder of any name: paths are relative, and the environments
# are made here. `make PYTHON=python3.12 demo` takes another Python.

PYTHON ?= python3
TRIALS ?= 20
WORKERS ?= 3
PARAMETERS ?= 200000
SEED ?=

PIP := -m pip install --quiet --disable-pip-version-check
LINTED := src hydra_plugins tests bench docs example_app setup.py noxfile.py
TYPED := src hydra_plugins tests bench docs example_app noxfile.py

# An editable install is a tree of links, one for each module, so it is made again when the list of modules changes. The list's
# checksum is part of the stamps' names.
MODULES := $(shell find src hydra_plugins -name '*.py' | LC_ALL=C sort | cksum | tr ' ' '-')
PACKAGING := setup.py pyproject.toml example_app/requirements.txt

# Hydra's Optuna sweeper has a folder of its own, which one test puts on its path: any other app here would import it at its start.
# It asks for an Optuna of 2022 and works with ours.
SWEEPER := $(PIP) --upgrade --no-deps

DEMO := .venv/.installed-demo-$(MODULES)
DEV := .venv/.installed-dev-$(MODULES)
HYDRA14 := .venv-hydra14/.installed-$(MODULES)
LOWEST := .venv-lowest/.installed-$(MODULES)
BENCH := .venv-bench/.installed-$(MODULES)

# What the lowest versions can break: the calls of Google's client, its message, and the emulator behind them.
LOWEST_TESTS := tests/services/vertex tests/emulator tests/services/behaviour tests/faults/test_frame_faults.py tests/job/test_job.py tests/job/test_spec_overrides.py tests/test_example_app.py

# What another Hydra can break: how it parses, composes and records, what it hands to the sweeper, what a trial's process asks of
# it, and some real sweeps. The rest speaks to the service or to files, and is tried with Hydra 1.3.
HYDRA_FILES := tests/space tests/settings/test_settings_as_written.py tests/runtime/test_sweep_in_trial.py \
	tests/runtime/test_metric_callback.py tests/runtime/test_launched_job.py tests/runtime/test_contract_codec.py tests/runtime/test_quoting.py \
	tests/results/test_best_config.py tests/results/test_rerun.py tests/job/test_job.py tests/test_docs.py \
	tests/test_installation.py tests/test_hydras_launcher_suite.py tests/test_launch_under_optuna.py
HYDRA_ALL := $(HYDRA_FILES) tests/plan tests/fidelity tests/runtime/test_shim.py tests/test_sweep.py tests/test_launch.py
# Of the folders and files with many processes or many rows: a test of each thing that Hydra does for us.
HYDRA_TESTS := $(HYDRA_FILES) $(filter-out %/test_processes.py,$(wildcard tests/fidelity/test_*.py)) \
	$(filter-out %/test_bad_input.py,$(wildcard tests/plan/test_*.py)) \
	$(addprefix tests/plan/test_bad_input.py::test_, \
	what_hydra_refuses_is_listed_for_every_key mistakes_of_reading_and_of_meaning_come_together \
	a_mandatory_default_that_nobody_sets_is_named a_mandatory_default_may_be_swept \
	of_values_that_compose_alike_two_are_composed a_key_that_a_trial_would_take_for_an_alias_is_refused) \
	$(addprefix tests/runtime/test_shim.py::test_, \
	a_trial_is_the_run_that_hydra_would_have_composed_in_its_numbered_folder an_app_whose_config_says_multirun_runs_once \
	without_a_contract_flags_become_overrides_and_the_return_value_is_the_objective \
	a_task_that_raises_is_hydras_exit_code_and_nothing_is_reported) \
	$(addprefix tests/test_sweep.py::test_, \
	what_a_trial_saw_is_what_the_table_says the_best_config_runs_the_best_trial_again \
	an_app_without_a_config_file_is_tuned_too params_and_the_command_line_together_make_the_search_space \
	a_plain_run_is_a_plain_run bad_input_ends_in_lines_and_no_traceback_and_starts_nothing) \
	$(addprefix tests/test_launch.py::test_, \
	each_job_is_the_one_that_hydras_own_launcher_would_run a_failed_job_stops_no_other_and_its_traceback_comes_back)

.PHONY: help demo test test-all test-hydra13 test-hydra14 test-lowest check lint coverage docs record fuzz bench clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo 'make demo    tune the example app with $(TRIALS) trials on this machine; the last line is the sweep dir'
	@echo 'make test    the tests with Hydra 1.3, and those that Hydra can break with the newest 1.4'
	@echo 'make test-all  the same with what is marked thorough: more of a kind of which make test tries a part'
	@echo 'make test-lowest  the tests of all that uses Google'"'"'s client, with the lowest versions that setup.py admits'
	@echo 'make check   lint, format, strict types, all tests, then those with the lowest versions'
	@echo 'make coverage  which lines the tests run, those of child processes too; fails below the floor in pyproject.toml'
	@echo 'make docs    write anew what docs/settings.md and docs/structure.md have from the code'
	@echo 'make record  write the recorded requests under tests/ anew; read what changed'
	@echo 'make fuzz    new examples for every property test, and $(PARAMETERS) overrides of drawn sweeps; SEED=… repeats a run'
	@echo 'make bench   what the plugin costs, beside other plugins of Hydra'
	@echo 'make clean   remove the environments and what was built; multirun/ stays'

demo: $(DEMO)
	@dir="multirun/demo-$$(date +%Y-%m-%d_%H-%M-%S)" && \
	.venv/bin/python example_app/train.py --config-name sweep hydra.sweeper.backend=local \
		hydra.sweeper.max_trial_count=$(TRIALS) hydra.sweep.dir="$$dir" && \
	echo && echo 'The best trial:' && cat "$$dir/best.yaml" && echo "$$dir"

test: test-hydra13 test-hydra14

# An empty -m deselects nothing.
test-all: THOROUGH := -m ''
test-all: HYDRA_TESTS := $(HYDRA_ALL)
test-all: test-hydra13 test-hydra14

test-hydra13: $(DEV)
	@echo '== The tests, with Hydra 1.3'
	.venv/bin/python -m pytest --numprocesses $(WORKERS) $(THOROUGH)

test-hydra14: $(HYDRA14)
	@echo '== The tests, with Hydra 1.4'
	.venv-hydra14/bin/python -m pytest --numprocesses $(WORKERS) $(THOROUGH) $(HYDRA_TESTS)

test-lowest: $(LOWEST)
	@echo '== The tests, with the lowest versions of what the package needs'
	.venv-lowest/bin/python -m pytest --numprocesses $(WORKERS) $(LOWEST_TESTS)

fuzz: $(DEV)
	.venv/bin/python -m tests.fidelity.fuzz --parameters $(PARAMETERS) --seed '$(SEED)'

lint: $(DEV)
	.venv/bin/python -m ruff check $(LINTED)
	.venv/bin/python -m ruff format --check $(LINTED)
	.venv/bin/python -m mypy $(TYPED)

check: lint test-all test-lowest

coverage: $(DEV)
	.venv/bin/python -m coverage erase
	.venv/bin/python -m coverage run -m pytest --numprocesses $(WORKERS) -m ''
	.venv/bin/python -m coverage combine --quiet
	.venv/bin/python -m coverage report

docs: $(DEV)
	.venv/bin/python docs/make_settings.py
	.venv/bin/python docs/draw_structure.py

record: $(DEV)
	.venv/bin/python -m tests.jobs

bench: $(BENCH)
	@for script in bench/[a-z]*.py; do echo "== $$script" && .venv-bench/bin/python "$$script" || exit 1; done

clean:
	rm -rf .venv .venv-hydra14 .venv-lowest .venv-bench .nox .coverage* build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src hydra_plugins tests bench example_app -name __pycache__ -type d -prune -exec rm -rf {} +

# The environments.

.venv/pyvenv.cfg .venv-hydra14/pyvenv.cfg .venv-lowest/pyvenv.cfg .venv-bench/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'This needs Python 3.10 or newer: make PYTHON=/path/to/python3'; exit 1; }
	$(PYTHON) -m venv $(@D)

$(DEMO): .venv/pyvenv.cfg $(PACKAGING)
	.venv/bin/python $(PIP) --editable '.[all]' --requirement example_app/requirements.txt 'hydra-core<1.4'
	@rm -f .venv/.installed-* && touch $@

$(DEV): .venv/pyvenv.cfg $(PACKAGING)
	.venv/bin/python $(PIP) --editable '.[all,dev]' --requirement example_app/requirements.txt 'hydra-core<1.4'
	.venv/bin/python $(SWEEPER) --target .venv/sweepers 'hydra-optuna-sweeper>=1.3,<1.4'
	@rm -f .venv/.installed-* && touch $(DEMO) $@

# Without the [vertex] extra, so the tests that need Google's messages are skipped here. `1.4.0rc1` admits pre-releases of Hydra only.
$(HYDRA14): .venv-hydra14/pyvenv.cfg $(PACKAGING)
	.venv-hydra14/bin/python $(PIP) --upgrade --editable '.[local,test]' --requirement example_app/requirements.txt \
		'hydra-core>=1.4.0rc1,<1.5'
	.venv-hydra14/bin/python $(SWEEPER) --target .venv-hydra14/sweepers 'hydra-optuna-sweeper>=1.4.0rc1,<1.5'
	@rm -f .venv-hydra14/.installed-* && touch $@

$(LOWEST): .venv-lowest/pyvenv.cfg $(PACKAGING) tests/lowest.txt
	.venv-lowest/bin/python $(PIP) --editable '.[all,test]' --requirement example_app/requirements.txt --requirement tests/lowest.txt
	@rm -f .venv-lowest/.installed-* && touch $@

$(BENCH): .venv-bench/pyvenv.cfg $(PACKAGING)
	.venv-bench/bin/python $(PIP) --editable '.[all,bench]' 'hydra-core<1.4'
	.venv-bench/bin/python $(PIP) --no-deps 'hydra-optuna-sweeper>=1.3'
	@rm -f .venv-bench/.installed-* && touch $@

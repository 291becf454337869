"""The dear tests of which `make test` tries a part, so that it stays under five minutes; `make test-all` tries all of them."""

from __future__ import annotations

from typing import Final

SAMPLED: Final = {
    # Rows of one kind: the first, and then each so many-th.
    "faults/test_frame_faults.py::test_what_changes_nothing_is_made_again_by_us": 3,
    "fidelity/test_grid.py::test_a_grid_is_the_set_of_configs_that_hydras_basic_sweeper_runs": 2,
    "fidelity/test_reruns.py::test_a_rerun_has_the_trials_config_and_what_it_takes_from_hydra": 4,
    "plan/test_bad_input.py::test_of_values_that_compose_alike_two_are_composed": 3,
    "plan/test_hydra_references.py::test_a_trial_has_what_its_config_asks_for_and_nothing_else": 2,
    "plan/test_hydra_references.py::test_settings_in_the_apps_config_compose_in_the_check_and_in_the_trial": 4,
    "plan/test_no_effect.py::test_what_another_override_decides_is_not_tuned": 2,
    "plan/test_no_effect.py::test_what_changes_something_is_tuned": 2,
    "plan/test_process_arguments.py::test_a_script_that_sweeps_by_itself_is_no_trials_command": 4,
    "plan/test_process_arguments.py::test_a_sweep_in_a_test_is_started_inside_pytest": 2,
    "plan/test_process_arguments.py::test_a_sweep_that_a_script_made_up_has_none_and_the_line_names_what_to_set": 3,
    "plan/test_process_arguments.py::test_a_sweep_whose_words_started_the_process_has_a_command": 3,
    "plan/test_trial_folders.py::test_folders_that_differ_and_those_that_only_trials_know_are_not_shared": 2,
    "plan/test_trial_folders.py::test_one_folder_for_all_trials_is_seen": 2,
    "results/test_best_config.py::test_the_config_of_the_best_trial_composes_to_what_its_overrides_compose_to": 3,
    "results/test_best_config.py::test_what_a_config_cannot_say_is_left_out_and_completes_it_on_the_command_line": 3,
    "results/test_foreign_directories.py::test_no_value_in_job_json_is_a_traceback": 4,
    "results/test_rerun.py::test_the_printed_command_is_the_best_trial_again_and_attach_writes_the_same_config": 2,
    "run/test_uncreated_jobs.py::test_a_field_of_a_wrong_type_is_named_without_googles_client": 6,
    "runtime/test_attempts.py::test_a_metric_counts_that_this_attempt_has_reported": 3,
    "runtime/test_cannot_run.py::test_what_could_not_run_is_68_and_what_failed_keeps_its_code": 3,
    "runtime/test_code_start.py::test_images_that_lack_something_do": 2,
    "runtime/test_code_start.py::test_what_cannot_start_says_why": 3,
    "runtime/test_sweep_in_trial.py::test_a_multirun_of_hydras_own_runs_inside_a_trial": 2,
    "runtime/test_sweep_in_trial.py::test_a_trial_ends_where_a_sweep_would_begin": 4,
    "runtime/test_sweep_in_trial.py::test_a_whole_sweep_of_such_a_script_ends_at_its_first_level": 2,
    "settings/test_credentials.py::test_a_literal_credential_is_refused_wherever_it_would_stand_in_the_job": 3,
    "settings/test_credentials.py::test_what_only_resembles_a_literal_credential_goes_with_the_trial": 4,
    "space/test_interpolations.py::test_each_value_that_is_refused_is_one_line": 3,
    "space/test_interpolations.py::test_the_config_is_the_one_that_all_trials_with_the_value_have_in_common": 3,
    "test_shipped_code.py::test_a_bucket_that_refuses_leaves_the_directory_free": 2,
    # Whole programs, of which another test that stays runs the same parts.
    "cli/test_doctor.py::test_a_dry_run_without_a_login_shows_the_job_all_the_same": 0,
    "cli/test_doctor.py::test_what_is_missing_is_told_with_its_remedy_and_the_exit_code": 0,
    "fidelity/test_grid.py::test_a_real_multirun_of_either_sweeper_sees_the_same_configs": 0,
    "run/test_permanent_failure.py::test_whoever_comes_back_to_a_hopeless_job_on_vertex_cancels_it": 0,
    "runtime/test_code_start.py::test_an_image_that_forbids_pip_to_install_is_fine": 0,
    "runtime/test_code_start.py::test_requirements_of_the_tree_are_found_from_the_working_directory": 0,
    "runtime/test_code_start.py::test_two_trials_that_begin_together_do_no_harm": 0,
    "services/vertex/test_half_open.py::test_where_nothing_answers_from_the_beginning_a_creation_is_left_open": 0,
    "services/vertex/test_vertex_sweep.py::test_an_interrupt_leaves_the_job_alone_otherwise": 0,
    "services/vertex/test_vertex_sweeps_end_to_end.py::test_a_job_whose_creation_was_never_answered_is_found_and_followed": 0,
    "services/vertex/test_vertex_sweeps_end_to_end.py::test_a_sweep_that_does_not_wait_is_followed_by_the_app_later": 0,
    "test_same_examples.py::test_fuzzing_says_how_to_draw_the_same_again": 0,
    "test_shipped_code.py::test_a_sweep_on_this_machine_runs_the_code_that_it_packed": 0,
    "test_shipped_code.py::test_an_emulator_without_buckets_is_told_before_anything_begins": 0,
    "test_shipped_code.py::test_requirements_that_do_not_resolve_are_told_once": 0,
    "test_sweep.py::test_an_app_started_as_a_module_is_tuned_as_a_module": 0,
    "test_sweep.py::test_another_launcher_is_named_as_not_used": 0,
}
"""By the test's path below `tests/`; 0 leaves the whole test to `make test-all`."""

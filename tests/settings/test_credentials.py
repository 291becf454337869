"""What looks like a credential and would stand in the job is refused, with the remedy and without its value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import App, app_in
from vertex_sweeper.credentials import credential_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.settings import read_settings

WORD = "Zq3vTn8LwXr5Kd1Bm7Yc"

BY_NAME = [
    *("HF_TOKEN", "GITHUB_TOKEN", "TOKEN", "githubToken", "PASSWORD", "DB_PASSWORD", "password", "MYSQL_PWD", "WANDB_API_KEY"),
    *("apiKey", "APIKEY", "SECRET", "CLIENT_SECRET", "DJANGO_SECRET_KEY", "PRIVATE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
    *("CREDENTIALS", "SSH_PASSPHRASE", "COMET-API-KEY", "STRIPE_KEY"),
]

BY_VALUE = {
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nabc",
    "private key on one line": r"-----BEGIN PRIVATE KEY-----\nabc",
    "service account": '{"type": "service_account", "project_id": "p"}',
    "GitHub": "ghp_" + 36 * "a",
    "GitHub, fine-grained": "github_pat_" + 30 * "a",
    "GitLab": "glpat-" + 20 * "a",
    "Google API key": "AIza" + 35 * "a",
    "Google access token": "ya29." + 30 * "a",
    "Hugging Face": "hf_" + 34 * "a",
    "AWS": "AKIA" + 16 * "A",
    "Slack": "xoxb-1234567890-abc",
    "secret key": "sk-proj-" + 30 * "a",
    "payment key": "sk_live_" + 24 * "a",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_-def",
    "address with a password": "postgresql://me:hunter2@db:5432/x",
    "inside another text": "--token=ghp_" + 36 * "a" + " --x",
}

HARMLESS = {
    "TOKENIZERS_PARALLELISM": "false",
    "KEYBOARD": "qwerty",
    "MAX_TOKENS": "4096",
    "PAD_TOKEN": "<pad>",
    "EOS_TOKEN": "</s>",
    "SORT_KEY": "name",
    "MONITOR_KEY": "val_acc",
    "CACHE_KEY": "dataset-v2-train-shards",
    "EXPERIMENT": "sk-learn-pipeline-experiment-number-7",
    "GOOGLE_APPLICATION_CREDENTIALS": "/etc/keys/adc.json",
    "DB_PASSWORD_SECRET": "projects/my-project/secrets/db/versions/1",
    "SECRET_NAME": WORD,
    "API_KEY_FILE": WORD,
    "USE_AUTH_TOKEN": "true",
    "EMPTY_TOKEN": "",
    "DATA": "gs://bucket/data",
    "DATA_URL": "https://example.org:8080/a/b@c?x=1",
    "IMAGE": "europe-docker.pkg.dev/p/r/i@sha256:" + 64 * "a",
    "COMPASS": "north",
    "PWD": "somewhere",
    "RUN_ID": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "PARTITION_KEYS": "a,b",
    "HYDRA_FULL_ERROR": "1",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_name_gives_a_credential_away(name: str) -> None:
    assert credential_in(name, WORD) == "its name is that of a credential"


@pytest.mark.parametrize("case", BY_VALUE)
def test_a_value_gives_a_credential_away_whatever_its_name(case: str) -> None:
    assert (credential_in("DATA", BY_VALUE[case]) or "").startswith("its value looks like a")


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_resembles_a_credential_is_none(name: str) -> None:
    assert credential_in(name, HARMLESS[name]) is None


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with app_in(tmp_path, {"config": "lr: 0.1\nname: abc\n"}) as app:
        yield app


def local(trial: dict[str, object]) -> dict[str, object]:
    return {"backend": "local", "trial": trial}


def test_the_message_names_the_remedies_and_not_the_value() -> None:
    with pytest.raises(InvalidSweep) as caught:
        read_settings(local({"env": {"HF_TOKEN": WORD}, "worker_pools": [{"env": {"X": BY_VALUE["GitHub"]}}]}))
    assert [line.partition(":")[0] for line in caught.value.mistakes] == [
        "hydra.sweeper.trial.env.HF_TOKEN",
        "hydra.sweeper.trial.worker_pools[0].env.X",
    ]
    for line in caught.value.mistakes:
        assert "service_account" in line
        assert "Secret Manager" in line
        assert "allow_secrets=true" in line
        assert WORD not in line
        assert "ghp_" not in line


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param({"env": {"PASSWORD": 20261124}}, id="a number where a text belongs"),
        pytest.param({"env": {"X": ["ghp_" + 36 * "a"]}}, id="a list where a text belongs"),
        pytest.param({"env": "HF_TOKEN=hf_" + 34 * "a"}, id="no mapping"),
        pytest.param({"worker_pools": {"env": {"HF": "hf_" + 34 * "a"}}}, id="no list"),
    ],
)
def test_a_mistake_of_another_kind_does_not_show_the_value_either(trial: dict[str, object]) -> None:
    with pytest.raises(InvalidSweep) as caught:
        read_settings(local(trial))
    assert not any(secret in str(caught.value) for secret in ("20261124", "hf_aa", "ghp_aa"))


@pytest.mark.parametrize(
    ("words", "where"),
    [
        pytest.param(["+api_key=" + BY_VALUE["secret key"]], "+api_key", id="a fixed override"),
        pytest.param(["+hf=x,hf_" + 34 * "a"], "+hf", id="one element of a sweep"),
        pytest.param(["hydra.sweeper.params={name: ghp_" + 36 * "a" + "}"], "name", id="a value in params"),
        pytest.param(
            ["hydra.sweeper.trial.command=[python,train.py,'--token=ghp_" + 36 * "a" + "']"],
            "hydra.sweeper.trial.command",
            id="a word of the command",
        ),
        pytest.param(
            ["hydra.sweeper.trial.worker_pools=[{command: [run, ghp_" + 36 * "a" + "]}]"],
            "hydra.sweeper.trial.worker_pools[0].command",
            id="a word of a further pool's command",
        ),
    ],
)
def test_a_credential_among_a_trials_overrides_or_words_is_refused_as_in_its_environment(
    app: App, words: list[str], where: str
) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan("lr=interval(0, 1)", *words)
    (line,) = caught.value.mistakes
    assert line.startswith(f"{where}: its value looks like a ")
    assert "allow_secrets=true" in line
    assert "aaaa" not in line
    app.plan("lr=interval(0, 1)", *words, "hydra.sweeper.trial.allow_secrets=true")


EXPOSED = {
    "a password": ("+db.password=hunter2", "+db.password"),
    "a number for a password": ("+db_password=12345", "+db_password"),
    "a quoted password": ("+db.passwd='a b'", "+db.passwd"),
    "a key": ("+apiKey=abc", "+apiKey"),
    "a key in other words": ("+wandb.api_key=abc", "+wandb.api_key"),
    "a token": ("+hf_token=cls", "+hf_token"),
    "a secret": ("++client.secret=xyzzy", "++client.secret"),
    "credentials": ("+credentials='me and my word'", "+credentials"),
    "inside a mapping": ("+db={user: me, password: hunter2}", "+db.password"),
    "deep inside": ("+a={b: [{api_key: xyz}]}", "+a.b.0.api_key"),
    "a list of tokens": ("+tokens={hf_token: [a1]}", "+tokens.hf_token.0"),
    "a query": ("name='https://example.org/x?page=1&api_key=abcd1234'", "name"),
    "a signed address": ("name='https://blob.example.org/x?sv=2020&sig=ab%3Dcd'", "name"),
    "an address with a token": ("name='https://example.org/?access_token=abcd'", "name"),
    "a variable of the job": ("+hydra.job.env_set.HF_TOKEN=abc", "+hydra.job.env_set.HF_TOKEN"),
    "variables of the job": ("++hydra.job.env_set={A: b, WANDB_API_KEY: abc}", "++hydra.job.env_set.WANDB_API_KEY"),
    "a label": ("hydra.sweeper.labels.hf_token=abc", "hydra.sweeper.labels.hf_token"),
    "the value of a label": (f"hydra.sweeper.labels.team=glpat-{20 * 'a'}", "hydra.sweeper.labels.team"),
    "a display name": (f"hydra.sweeper.display_name=ghp_{36 * 'a'}", "hydra.sweeper.display_name"),
    "a metric": (f"hydra.sweeper.metrics={{ghp_{36 * 'a'}: maximize}}", "hydra.sweeper.metrics"),
    "a field of the API": (
        f"hydra.sweeper.spec_overrides.trialJobSpec.tensorboard=ghp_{36 * 'a'}",
        "hydra.sweeper.spec_overrides.trialJobSpec.tensorboard",
    ),
    "a label of the API": (
        f"hydra.sweeper.spec_overrides.labels.team=glpat-{20 * 'a'}",
        "hydra.sweeper.spec_overrides.labels.team",
    ),
}
SECRETS = ("hunter2", "12345", "xyzzy", "a b'", "abcd", "ab%3D", "my word", 20 * "a")


@pytest.mark.parametrize("case", EXPOSED)
def test_a_literal_credential_is_refused_wherever_it_would_stand_in_the_job(app: App, case: str) -> None:
    override, where = EXPOSED[case]
    with pytest.raises(InvalidSweep) as caught:
        app.plan("lr=interval(0, 1)", override)
    (line,) = [line for line in caught.value.mistakes if "allow_secrets" in line]
    assert line.startswith(f"{where}: its ")
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_who_insists_may_send_a_literal_credential(app: App) -> None:
    app.plan("lr=interval(0, 1)", "+db.password=hunter2", "hydra.sweeper.trial.allow_secrets=true")


@pytest.mark.parametrize(
    "override",
    [
        "+db.password=${oc.env:DB_PASSWORD,none}",
        "+model.pad_token=x",
        "+max_token=512",
        "+use_auth_token=true",
        "+secret_dim=4",
        "+password_file=abc",
        "+token=null",
        "+api_key_path=gs://bucket/key",
        "+password=/etc/secrets/db",
        "+pool.token=cls,mean",
        "+sort_key=name",
        "name=sk-learn-pipeline-experiment-number-7",
        "name='https://example.org/x?page=1&key='",
        "name='https://example.org/token/secret'",
        "+hydra.job.env_set.OMP_NUM_THREADS='1'",
        "hydra.sweeper.labels.team=vision",
    ],
)
def test_what_only_resembles_a_literal_credential_goes_with_the_trial(app: App, override: str) -> None:
    app.plan("lr=interval(0, 1)", override)


def test_who_insists_may_send_it() -> None:
    settings = read_settings(local({"env": {"HF_TOKEN": WORD}, "allow_secrets": True}))
    assert settings.trial.env == {"HF_TOKEN": WORD}

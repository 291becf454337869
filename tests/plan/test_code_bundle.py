"""The archive of a tree: the same bytes for the same files, and a line for each that must not, or cannot, go along."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan import code_bundle
from vertex_sweeper.plan.code_bundle import CodeBundle, in_words, is_secret_name, pack
from vertex_sweeper.plan.code_tree import list_tree

KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEow' * 20}\n-----END RSA PRIVATE KEY-----\n"
ACCOUNT = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE", "client_email": "a@b"}'
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def packed(folder: Path, *, allow_secrets: bool = False) -> CodeBundle:
    return pack(folder, list_tree(folder), allow_secrets=allow_secrets)


def mistakes(folder: Path) -> tuple[str, ...]:
    with pytest.raises(InvalidSweep) as caught:
        packed(folder)
    return caught.value.mistakes


def test_the_same_tree_is_the_same_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    bundles = []
    for place, time in (("one", 1), ("another place", 1_700_000_000)):
        root = tmp_path / place
        write(root, **{"train.py": "a", "pkg/b.py": "b", "run.sh": "c"})
        (root / "run.sh").chmod(0o755 if time == 1 else 0o700)
        (root / "train.py").chmod(0o644 if time == 1 else 0o600)
        (root / "link").symlink_to("pkg/b.py")
        os.utime(root / "train.py", (time, time))
        bundles.append(packed(root))
    first, second = (bundle.archive.read() for bundle in bundles)
    assert first == second
    assert bundles[0].sha256 == bundles[1].sha256
    assert gzip.decompress(first)
    assert first[4:8] == bytes(4)  # no time, and behind it no name
    assert first[3] == 0


def test_members_say_nothing_of_who_packed_them(tmp_path: Path) -> None:
    write(tmp_path, **{"b.py": "b", "a.py": "a", "run.sh": "c"})
    (tmp_path / "run.sh").chmod(0o775)
    with tarfile.open(fileobj=packed(tmp_path).archive) as tar:
        found = [(each.name, each.mode, each.uid, each.gid, each.uname, each.gname, each.mtime) for each in tar]
    assert found == [(name, mode, 0, 0, "", "", 0) for name, mode in (("a.py", 0o644), ("b.py", 0o644), ("run.sh", 0o755))]


def test_a_changed_file_is_another_archive(tmp_path: Path) -> None:
    write(tmp_path, **{"a.py": "a"})
    before = packed(tmp_path).sha256
    write(tmp_path, **{"a.py": "b"})
    assert packed(tmp_path).sha256 != before


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in (".env", "sub/.env", ".env.production", ".ENV", "id_rsa", ".ssh/id_ed25519", "key.p12")),
        *((name, True) for name in (".netrc", ".pypirc", "client_secret_1.json", "application_default_credentials.json")),
        *((name, True) for name in (".aws/credentials", ".kube/config", "service-account.json", ".git-credentials")),
        *((name, False) for name in (".env.example", "env.py", "environment.yaml", "id_rsa.pub", "tokenizer.json", "keys.py")),
        *((name, False) for name in ("credentials.py", "conf/config.json", "secrets.py", "cert.pem", "config")),
    ],
)
def test_files_that_are_secrets_are_known_by_name(name: str, secret: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_secret_name(name) == secret


def test_what_must_not_leave_is_named_all_at_once(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, a="a")
    root = tmp_path / "app"
    write(root, **{"train.py": "a", ".env": "A=1", "server.pem": KEY, "sa.json": ACCOUNT, "model.bin": POINTER})
    (root / "away").symlink_to("../outside/a")
    (root / "absolute").symlink_to(root / "train.py")
    (root / "gone").symlink_to("no such file")
    lines = mistakes(root)
    assert [line.split(":")[1].split()[0].strip("'") for line in lines] == sorted(
        [".env", "absolute", "away", "gone", "model.bin", "sa.json", "server.pem"]
    )
    said = "\n".join(lines)
    for part in ("a credential by its name", "a link that leads out of the tree", "Git LFS pointer", "holds a private key"):
        assert part in said
    assert "MIIE" not in said


def test_a_text_about_keys_is_no_key(tmp_path: Path) -> None:
    write(tmp_path, **{"a.py": 'HEADER = "-----BEGIN PRIVATE KEY-----"\nKIND = \'"type": "service_account"\'\n'})
    assert packed(tmp_path).names == {"a.py"}


def test_secrets_go_along_where_that_was_said(tmp_path: Path) -> None:
    write(tmp_path, **{".env": "A=1", "server.pem": KEY})
    assert packed(tmp_path, allow_secrets=True).names == {".env", "server.pem"}


def test_of_many_mistakes_the_first_are_told(tmp_path: Path) -> None:
    write(tmp_path, **{f"{place:02}/.env": "" for place in range(14)}, a="")
    assert len(mistakes(tmp_path)) == 11
    assert mistakes(tmp_path)[-1].endswith("… and 4 more files")


@pytest.mark.parametrize("change", ["longer", "shorter", "replaced", "gone", "a link now"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: str) -> None:
    write(tmp_path, **{"a.log": "one\n", "z.py": ""})
    files, path = list_tree(tmp_path), tmp_path / "a.log"
    if change == "longer":
        path.write_text("one\ntwo\n", encoding="utf-8")
    elif change == "shorter":
        os.truncate(path, 1)
    else:
        path.unlink()
    if change == "replaced":
        path.write_text("two\n", encoding="utf-8")
    elif change == "a link now":
        path.symlink_to("/etc/hostname")
    with pytest.raises(InvalidSweep, match=r"'a\.log' (has changed while it was read|cannot be read)"):
        pack(tmp_path, files)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    write(tmp_path, **{"a.py": "", "b.py": ""})
    (tmp_path / "a.py").chmod(0)
    assert "'a.py' cannot be read (Permission denied)" in mistakes(tmp_path)[0]


def test_an_empty_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n", encoding="utf-8")
    assert "is code: see what .gitignore and .gcloudignore leave out" in mistakes(tmp_path)[0]


def test_links_inside_the_tree_go_along(tmp_path: Path) -> None:
    write(tmp_path, **{"pkg/a.py": ""})
    for name, target in {"a": "pkg/a.py", "pkg/b": "a.py", "c": "pkg", "pkg/up": "..", "d": "c/a.py"}.items():
        (tmp_path / name).symlink_to(target)
    assert packed(tmp_path).names == {"a", "c", "d", "pkg/a.py", "pkg/b", "pkg/up"}


def test_a_link_that_leaves_by_another_link_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "app"
    write(root, **{"deep/er/a.py": ""})
    (root / "deep" / "up").symlink_to("..")
    (root / "away").symlink_to("deep/up/../x")
    (tmp_path / "x").touch()
    assert "'away' is a link that leads out of the tree" in mistakes(root)[0]


def test_the_size_is_told_and_a_large_tree_named_and_a_huge_one_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"a.py": "a" * 10, "b.py": "b" * 2000, "c.py": "", "d.py": "dd"})
    assert packed(tmp_path).notes == ("trial.code: 4 files, 2.0 kB; the largest: b.py (2.0 kB), a.py (10 B), d.py (2 B)",)
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(60_000_000)
    notes = packed(tmp_path).notes
    assert "the largest: data.bin (60 MB)" in notes[0]
    assert "60 MB go to the bucket, and into every trial: name what is no code in .gcloudignore" in notes[1]
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(code_bundle.TOO_LARGE + 1)
    [line] = mistakes(tmp_path)
    assert "at most 500 MB are sent: data.bin (500 MB), b.py" in line


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12 kB"), (3_400_000, "3.4 MB")]
)
def test_sizes_are_told_as_people_read_them(size: int, words: str) -> None:
    assert in_words(size) == words


def test_names_that_are_no_text_are_packed(tmp_path: Path) -> None:
    odd = {"ü.py", "new\nline.py", os.fsdecode(b"not-\xff.py"), "a" * 200}
    for name in odd:
        (tmp_path / name).touch()
    bundle = packed(tmp_path)
    with tarfile.open(fileobj=bundle.archive) as tar:
        assert set(tar.getnames()) == odd
    assert "\n" not in "".join(bundle.notes)

"""The tests with every Python and every Hydra that the package admits: `nox --list`, `nox -s 'tests(3.12, hydra 1.4)'`.

`make test` runs the same for one Python, in environments that it keeps.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lowest"]

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
HYDRAS = {"1.3": "hydra-core>=1.3,<1.4", "1.4": "hydra-core>=1.4.0rc1,<1.5"}
APP = ("--requirement", "example_app/requirements.txt")


@nox.session(python=PYTHONS)
@nox.parametrize("hydra", [nox.param(name, id=f"hydra {name}") for name in HYDRAS])
def tests(session: nox.Session, hydra: str) -> None:
    """All tests, with one Python and one Hydra."""
    session.install("--editable", ".[all,test]", *APP, HYDRAS[hydra])
    sweeper = HYDRAS[hydra].replace("hydra-core", "hydra-optuna-sweeper")
    session.install("--no-deps", "--target", f"{session.virtualenv.location}/sweepers", sweeper)
    session.run("python", "-m", "pytest", "--numprocesses", "2", "-m", "", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """All tests, with the lowest versions of what the package needs."""
    session.install("--editable", ".[all,test]", *APP, "--requirement", "tests/lowest.txt")
    session.run("python", "-m", "pytest", "--numprocesses", "2", "-m", "", *session.posargs)
